"""The windowed oracle: after each message's last command, our book is the one the file shows.

It folds what `matching` holds with the matcher's core, command by command, and looks at the fold's
book, never at what the adapter believes. A row is equal when every command of it arrived, in
order, and both sides show the file's levels, prices and shares. What the adapter may take from the
file instead of deriving it is held to rule 6: a synthetic order must be worse than every order of
its side, or its row counts as different.

FIFO agreement: an execution's aggressing order hit exactly one maker, the one the file names (or,
for an order that the file never showed being placed, a synthetic one).

The feeds are held against the same fold: `trades` record by record, `book` at the offset that each
of its records speaks of.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.domain.codes import BUY
from services.domain.commands import EnterOrder
from services.domain.controls import Genesis, Halt, Resume
from services.domain.events import (
    BookDepth,
    CancelRefused,
    Level,
    OrderRefused,
    ReplaceRefused,
    Trade,
)
from services.domain.reasons import Reason
from services.matcher.core import MatcherCore
from services.tools.market.lobster import ANY_SYNTHETIC, Step
from services.tools.market.lobster_files import BookRow
from services.wire.codec import Decoded
from services.wire.messages import Message

DIFFERENCES_KEPT: Final = 5
"""How many differences are told in words; all are counted."""

_CONTROLS: Final = (Genesis, Halt, Resume)
_REFUSALS: Final = (OrderRefused, CancelRefused, ReplaceRefused)

type _Levels = tuple[tuple[int, int], ...]


class Findings(msgspec.Struct):
    """What was compared, and how it came out."""

    rows_checked: int = 0
    rows_equal: int = 0
    executions: int = 0
    fifo_agreed: int = 0
    commands_folded: int = 0
    commands_missing: int = 0
    """Sent, and not in `matching`."""
    commands_strange: int = 0
    """In `matching`, and not sent, or not in order."""
    commands_refused: int = 0
    """By the book."""
    trades_checked: int = 0
    trades_different: int = 0
    depths_checked: int = 0
    depths_different: int = 0
    differences: list[str] = []
    """The first few, in words."""

    @property
    def holds(self) -> bool:
        """Whether everything compared was equal and nothing was missing."""
        return self.rows_equal == self.rows_checked and not (
            self.commands_missing
            or self.commands_strange
            or self.commands_refused
            or self.trades_different
            or self.depths_different
        )

    def note(self, difference: str) -> None:
        """Keep a difference in words, if there is room for one more."""
        if len(self.differences) < DIFFERENCES_KEPT:
            self.differences.append(difference)


class _Pending:
    """A row whose commands have not all been folded yet."""

    __slots__ = ("folded", "row", "step", "whole")

    def __init__(self, step: Step, row: BookRow | None) -> None:
        self.step = step
        self.row = row
        self.folded = 0
        self.whole = True
        """No command is missing, none was placed inside the window that may not be."""


class Oracle:
    """Folds one ticker's `matching` and compares. Called from one thread, never blocks.

    Tell it each step before the step's commands are sent (`expect`), and each record of `matching`
    in order (`fold`); then what the feeds hold (`check_trade`, `check_depth`).
    """

    def __init__(self, partition: int, levels: int) -> None:
        self.findings = Findings()
        self._core = MatcherCore(partition)
        self._levels = levels
        self._pending: deque[_Pending] = deque()
        self._awaited: dict[str, int] = {}
        """Row of each command that is expected and not folded."""
        self._synthetic_ids: set[str] = set()
        self._trades: deque[Message] = deque()
        self._shown: BookDepth | None = None

    @property
    def rows_pending(self) -> int:
        """Rows expected and not checked yet."""
        return len(self._pending)

    def expect(self, step: Step, row: BookRow | None) -> None:
        """The next row: its commands, and the book that should follow them (None: don't look)."""
        self._pending.append(_Pending(step, row))
        for key in step.keys:
            self._awaited[key] = step.row
        self._settle()

    def fold(self, offset: int, decoded: Decoded[Any]) -> None:
        """The next record of `matching`."""
        command = decoded.payload
        if isinstance(command, _CONTROLS):
            self._core.handle(offset, decoded)
            return
        is_entry = isinstance(command, EnterOrder)
        key = command.order_id if is_entry else command.client_command_id
        row = self._awaited.pop(key, None)
        if row is None:
            self.findings.commands_strange += 1
            self.findings.note(f"matching offset {offset}: {key} was not sent, or is out of order")
            self._observe(offset, decoded)
            return
        pending = self._skip_to(key, row)
        if is_entry and pending.folded >= len(pending.step.keys) - pending.step.synthetic:
            self._synthetic_ids.add(key)
            self._check_far_end(pending, command)
        trades = self._observe(offset, decoded)
        if pending.folded == 0 and pending.step.maker:
            self._check_maker(pending.step.maker, trades)
        pending.folded += 1
        self.findings.commands_folded += 1
        self._settle()

    def check_trade(self, offset: int, decoded: Decoded[Any]) -> None:
        """The next record of `trades`; the fold must be at or past the command that caused it."""
        self.findings.trades_checked += 1
        wanted = self._trades.popleft() if self._trades else None
        if wanted is None or (wanted.origin, wanted.payload) != (decoded.origin, decoded.payload):
            self.findings.trades_different += 1
            self.findings.note(f"trades offset {offset}: {decoded.payload}, the fold has {wanted}")

    def check_depth(self, offset: int, decoded: Decoded[Any]) -> None:
        """A record of `book`; the fold must be exactly at the offset it speaks of."""
        self.findings.depths_checked += 1
        for message in self._core.at_batch_end():
            assert isinstance(message.payload, BookDepth)
            self._shown = message.payload
        if decoded.payload != self._shown:
            self.findings.depths_different += 1
            self.findings.note(f"book offset {offset}: {decoded.payload}, not {self._shown}")

    def finish_commands(self) -> None:
        """No more records of `matching` will come: what is still awaited is missing."""
        while self._pending:
            self._give_up(self._pending[0])
            self._settle()

    def finish_feeds(self) -> None:
        """No more records of `trades` and `book` will come: what the fold has beyond is missing."""
        self.findings.trades_different += len(self._trades)
        if self._trades:
            self.findings.note(f"trades: {self._trades[0].payload} is not there")
        self._trades.clear()
        for message in self._core.at_batch_end():
            self.findings.depths_different += 1
            self.findings.note(f"book: the last depth is not there: {message.payload}")

    # --- commands -------------------------------------------------------------------------

    def _skip_to(self, key: str, row: int) -> _Pending:
        """The pending row of this command; whatever was awaited before it is missing."""
        while self._pending[0].step.row < row:
            self._give_up(self._pending[0])
            self._settle()
        pending = self._pending[0]
        while pending.step.keys[pending.folded] != key:
            self._miss(pending)
        return pending

    def _give_up(self, pending: _Pending) -> None:
        while pending.folded < len(pending.step.keys):
            self._miss(pending)

    def _miss(self, pending: _Pending) -> None:
        key = pending.step.keys[pending.folded]
        self._awaited.pop(key, None)
        self.findings.commands_missing += 1
        self.findings.note(f"row {pending.step.row + 1}: command {key} is not in matching")
        pending.whole = False
        pending.folded += 1

    def _observe(self, offset: int, decoded: Decoded[Any]) -> list[Trade]:
        """Fold a command; its trades are kept for the feed's turn."""
        trades = []
        for message in self._core.handle(offset, decoded):
            payload = message.payload
            if isinstance(payload, Trade):
                self._trades.append(message)
                trades.append(payload)
            elif isinstance(payload, _REFUSALS):
                self.findings.commands_refused += 1
                reason = Reason(payload.reason).name
                self.findings.note(f"the book refused {payload.order_id}: {reason}")
        return trades

    # --- rows -----------------------------------------------------------------------------

    def _settle(self) -> None:
        """Check the rows whose commands are all folded."""
        while self._pending and self._pending[0].folded == len(self._pending[0].step.keys):
            pending = self._pending.popleft()
            if pending.row is not None:
                self._check_row(pending, pending.row)

    def _check_row(self, pending: _Pending, row: BookRow) -> None:
        bids, asks = self._core.depth(self._levels)
        self.findings.rows_checked += 1
        bids_equal, asks_equal = _is_equal(bids, row.bids), _is_equal(asks, row.asks)
        if bids_equal and asks_equal and pending.whole:
            self.findings.rows_equal += 1
        for side, equal, ours, files in (
            ("bid", bids_equal, bids, row.bids),
            ("ask", asks_equal, asks, row.asks),
        ):
            if not equal:
                self.findings.note(f"row {pending.step.row + 1}: {_describe(side, ours, files)}")

    def _check_far_end(self, pending: _Pending, command: EnterOrder) -> None:
        bids, asks = self._core.depth(self._levels)
        resting = bids if command.side == BUY else asks
        if len(resting) == self._levels or (
            resting and command.side * (resting[-1].price - command.price) <= 0
        ):
            pending.whole = False
            self.findings.note(
                f"row {pending.step.row + 1}: a synthetic order at {command.price} is not at the"
                " far end of the window"
            )

    def _check_maker(self, maker: str, trades: Sequence[Trade]) -> None:
        self.findings.executions += 1
        if len(trades) == 1:
            hit = trades[0].maker_order_id
            if hit == maker or (maker == ANY_SYNTHETIC and hit in self._synthetic_ids):
                self.findings.fifo_agreed += 1


def _is_equal(ours: tuple[Level, ...], files: _Levels) -> bool:
    if len(ours) != len(files):
        return False
    for level, (price, shares) in zip(ours, files, strict=True):
        if level.price != price or level.quantity != shares:
            return False
    return True


def _describe(side: str, ours: tuple[Level, ...], files: _Levels) -> str:
    """The first level in which they differ."""
    for i in range(max(len(ours), len(files))):
        own = (ours[i].price, ours[i].quantity) if i < len(ours) else None
        file = files[i] if i < len(files) else None
        if own != file:
            return f"{side} level {i + 1} is {own} and the file has {file} (price, shares)"
    return f"{side} side is equal"
