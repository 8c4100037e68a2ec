"""What goes wrong at an exchange's door: well-formed nonsense, and bytes that are no command."""

from random import Random

from msgspec.structs import replace

from services.domain import codes
from services.domain.amounts import PRICE_MAX, QUANTITY_MAX
from services.domain.commands import CancelOrder, ClientCommand, PlaceOrder
from services.domain.ids import ID_LENGTH_MAX, make_order_id


def wrong_command(random: Random, good: PlaceOrder) -> ClientCommand:
    """A command that decodes, and that the exchange must refuse with a reason."""
    wrong = (
        lambda: replace(good, quantity=0),
        lambda: replace(good, quantity=-good.quantity),
        lambda: replace(good, quantity=QUANTITY_MAX + 1),
        lambda: replace(good, price=0),
        lambda: replace(good, price=-good.price),
        lambda: replace(good, price=PRICE_MAX + 100),
        lambda: replace(good, price=good.price + 1),  # between two ticks
        lambda: replace(good, price=good.price * 3),  # outside the collar
        lambda: replace(good, ticker="NOSUCH"),
        lambda: replace(good, account="nobody"),
        lambda: replace(good, side=2),
        lambda: replace(good, order_type=9),
        lambda: replace(good, time_in_force=9),
        lambda: replace(good, self_trade_prevention=9),
        lambda: replace(good, order_type=codes.MARKET, time_in_force=codes.GTC, price=0),
        lambda: replace(good, time_in_force=codes.IOC, post_only=True),
        lambda: CancelOrder(
            good.account,
            good.client_order_id,
            make_order_id("nobody", good.client_order_id, good.ticker),
        ),
    )
    return wrong[int(random.random() * len(wrong))]()


def junk_bytes(random: Random) -> bytes:
    """A value that no reader of `orders` can decode; never empty-handed of a cause."""
    junk = (
        lambda: b"",
        lambda: b"\x00\x00",  # shorter than a frame
        lambda: b"\x07" + random.randbytes(40),  # wrong magic byte
        lambda: b"\x00\x7f\xff\xff\xff" + random.randbytes(40),  # a schema nobody registered
        lambda: b"not a command, " + random.randbytes(8),
        lambda: b'{"type": "PlaceOrder"',  # JSON that breaks off
        lambda: b'{"type": "Riot", "account": "nobody"}',
        lambda: b'{"type": "CancelAll", "account": "", "client_command_id": "x"}',
        lambda: (
            b'{"type": "CancelAll", "account": "'
            + b"x" * (ID_LENGTH_MAX + 1)
            + b'", "client_command_id": "x"}'
        ),
    )
    return junk[int(random.random() * len(junk))]()
