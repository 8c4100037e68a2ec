"""A LOBSTER session folded in memory: what `matching` would hold, without the rooms before it."""

from collections.abc import Callable, Iterable, Iterator

from services.domain.commands import ClientCommand, EnterOrder, PlaceOrder
from services.domain.origin import ACCOUNTS, CONTROLS, Origin
from services.tools.market.genesis import replay_genesis
from services.tools.market.lobster import Adapter, Step
from services.tools.market.lobster_files import BookRow, LobsterMessage
from services.tools.market.oracle import Findings, Oracle
from services.wire.codec import Decoded
from services.wire.messages import Payload

TICKER = "AAPL"

type Session = Iterable[tuple[LobsterMessage, BookRow | None]]
type Commands = list[tuple[ClientCommand, str]]
"""Each with its key in `matching`."""


def forwarded(commands: Iterable[tuple[ClientCommand, str]]) -> Iterator[Payload]:
    """What risk would make of the commands of an account that it lets do anything."""
    for command, key in commands:
        if isinstance(command, PlaceOrder):
            yield EnterOrder(
                key,
                command.account,
                command.side,
                command.order_type,
                command.time_in_force,
                command.post_only,
                command.price,
                command.quantity,
                command.self_trade_prevention,
            )
        else:
            yield command


def steps_of(session: Session, levels: int) -> list[tuple[Step, BookRow | None]]:
    """Every step of a session, with the row that should follow it."""
    adapter = Adapter(TICKER, levels)
    return [(adapter.step(message, row), row) for message, row in session]


def fold_session(
    session: Session, levels: int, tamper: Callable[[Commands], Commands] | None = None
) -> Findings:
    """Verify a session whose commands are tampered with on their way, or not.

    The feeds are not looked at: what they would hold is not here.
    """
    adapter = Adapter(TICKER, levels)
    oracle = Oracle(0, levels)
    oracle.fold(0, Decoded(Origin(CONTROLS, 0, 0, 0, 0, 1, 0), replay_genesis(TICKER, "test"), 0))
    withheld: Commands = []
    offset = 0
    for message, row in session:
        step = adapter.step(message, row)
        oracle.expect(step, row)
        commands = list(zip(step.commands, step.keys, strict=True))
        if tamper is None:
            offset = _fold_all(oracle, commands, offset)
        else:
            withheld += commands
    if tamper is not None:
        _fold_all(oracle, tamper(withheld), offset)
    oracle.finish_commands()
    return oracle.findings


def _fold_all(oracle: Oracle, commands: Commands, offset: int) -> int:
    for payload in forwarded(commands):
        offset += 1
        origin = Origin(ACCOUNTS, 0, offset, 0, offset, offset, offset)
        oracle.fold(offset, Decoded(origin, payload, offset))
    return offset
