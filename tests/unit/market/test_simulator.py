from collections import Counter
from itertools import islice

import pytest

from services.domain.commands import CancelAll, CancelOrder, PlaceOrder, ReduceOrder, ReplaceOrder
from services.domain.controls import Deposit, OpenAccount, SetMark
from services.domain.genesis import TICKERS, default_genesis
from services.domain.ids import ID_LENGTH_MAX, is_valid_id, ticker_of
from services.ingest.core import ingest
from services.tools.market.mischief import junk_bytes, wrong_command
from services.tools.market.population import Role, crowd_controls, participants
from services.tools.market.publish import encode
from services.tools.market.simulator import KINDS, RESTING_MAX, Crowd, Outbound
from services.wire.codec import local_codec
from services.wire.topics import ACCOUNTS, ORDERS, ORDERS_DLQ

CODEC = local_codec()


def stream(seed: int, count: int = 20_000) -> list[Outbound]:
    return list(islice(Crowd(seed).commands(), count))


STREAM = stream(7)


def test_the_same_seed_gives_the_same_stream() -> None:
    assert stream(7) == STREAM


def test_seeds_differ_in_accounts_and_in_commands() -> None:
    other = stream(8, 1_000)
    accounts = {o.payload.account for o in STREAM[:1_000] if o.payload}
    assert not accounts & {o.payload.account for o in other if o.payload}
    assert [o.kind for o in other] != [o.kind for o in STREAM[:1_000]]


def test_every_kind_ticker_and_role_takes_part() -> None:
    kinds = Counter(outbound.kind for outbound in STREAM)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 10
    orders = [o.payload for o in STREAM if isinstance(o.payload, PlaceOrder)]
    assert {order.ticker for order in orders} >= set(TICKERS)
    assert {order.account.partition("-")[0] for order in orders} >= {str(role) for role in Role}
    assert {order.self_trade_prevention for order in orders} >= {0, 1, 2}
    assert {order.side for order in orders} >= {1, -1}


def test_no_two_commands_share_an_id_unless_one_is_a_duplicate() -> None:
    ids = Counter(_command_id(o) for o in STREAM if o.kind not in ("duplicate", "junk"))
    assert max(ids.values()) == 1


def _command_id(outbound: Outbound) -> tuple[str, str]:
    match outbound.payload:
        case PlaceOrder(account=account, client_order_id=command_id):
            return account, command_id
        case (
            CancelOrder(account=account, client_command_id=command_id)
            | ReduceOrder(account=account, client_command_id=command_id)
            | ReplaceOrder(account=account, client_command_id=command_id)
            | CancelAll(account=account, client_command_id=command_id)
        ):
            return account, command_id
    raise AssertionError(outbound)


def test_a_duplicate_says_exactly_what_one_of_the_last_commands_said() -> None:
    for outbound in STREAM:
        if outbound.kind == "duplicate":
            earlier = STREAM[max(0, outbound.index - 256) : outbound.index]
            assert (outbound.key, outbound.payload) in [(o.key, o.payload) for o in earlier]


def test_all_commands_about_one_order_have_one_key_and_so_one_partition() -> None:
    for outbound in STREAM:
        payload = outbound.payload
        if isinstance(payload, CancelOrder | ReduceOrder | ReplaceOrder):
            assert outbound.key == ticker_of(payload.order_id)
        elif isinstance(payload, PlaceOrder) and outbound.kind != "wrong":
            assert payload.ticker in (outbound.key, "NOSUCH")


def test_what_an_account_leaves_open_is_bounded_however_long_it_runs() -> None:
    crowd = Crowd(3)
    for _ in islice(crowd.commands(), 60_000):
        pass
    for role, traders in crowd._by_role.items():
        assert all(len(trader.resting) <= RESTING_MAX[role] for trader in traders)


def test_prices_stay_near_the_opening() -> None:
    for outbound in STREAM:
        order = outbound.payload
        if isinstance(order, PlaceOrder) and outbound.kind not in ("wrong", "junk", "duplicate"):
            opening = _opening(order.ticker)
            assert order.price == 0 or abs(order.price - opening) * 20 < opening


def _opening(ticker: str) -> int:
    marks = {c.ticker: c.mark for c in crowd_controls(7) if isinstance(c, SetMark)}
    return marks[ticker]


def test_junk_and_nothing_else_becomes_a_dead_letter() -> None:
    for event_time_us in (0, 1_790_000_000_000_000):
        for outbound in STREAM:
            value = encode(CODEC, outbound, event_time_us)
            (message,) = ingest(CODEC, ORDERS.name, 0, outbound.index, 1, value)
            assert message.topic == (ORDERS_DLQ.name if outbound.is_junk else ACCOUNTS.name)


def test_every_sort_of_junk_and_of_wrong_command_turns_up() -> None:
    """A chooser that never came to its last entries would go unseen above."""

    class Choose:
        def __init__(self, at: float) -> None:
            self.at = at

        def random(self) -> float:
            return self.at

        def randbytes(self, count: int) -> bytes:
            return b"r" * count

    good = next(o.payload for o in STREAM if o.kind == "ioc")
    assert isinstance(good, PlaceOrder)
    chosen = [Choose(i / 200) for i in range(200)]
    assert len({junk_bytes(chooser) for chooser in chosen}) == 9  # type: ignore[arg-type]  # a fake
    wrong = {repr(wrong_command(chooser, good)) for chooser in chosen}  # type: ignore[arg-type]  # a fake
    assert len(wrong) == 17
    assert repr(good) not in wrong


def test_the_controls_set_marks_first_and_open_every_account_once() -> None:
    controls = crowd_controls(7)
    assert [type(control) for control in controls[:5]] == [SetMark] * 5
    opened = [c.account for c in controls if isinstance(c, OpenAccount)]
    assert opened == [p.account for p in participants(7)]
    assert len(set(opened)) == len(opened) >= 20
    assert {c.account.partition("-")[0] for c in controls if isinstance(c, Deposit)} == {"noise"}
    ids = [c.client_command_id for c in controls]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("seed", [0, 7, 2**63])
def test_every_id_of_any_seed_is_valid(seed: int) -> None:
    for control in crowd_controls(seed):
        assert is_valid_id(control.client_command_id), control
    for outbound in stream(seed, 300):
        if outbound.payload is not None:
            assert is_valid_id(outbound.payload.account)
            assert len(outbound.payload.account) <= ID_LENGTH_MAX


def test_marks_are_within_the_shipped_collar_of_every_price() -> None:
    collars = {i.ticker: i.price_collar_bps for i in default_genesis().instruments}
    for outbound in STREAM:
        order = outbound.payload
        if isinstance(order, PlaceOrder) and outbound.kind == "limit":
            opening = _opening(order.ticker)
            assert abs(order.price - opening) * 10_000 <= collars[order.ticker] * opening
