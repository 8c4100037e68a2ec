"""What a reconciliation counts by: which records caused something, and what became of orders."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from services.domain import codes
from services.domain.events import ExecutionReport

EXAMPLES_MAX: Final = 5
"""Faults of one check that are spelled out; the rest are counted."""


class Check(msgspec.Struct):
    """One question and its answer."""

    name: str
    counted: int = 0
    """How many things were looked at."""
    faults: int = 0
    examples: list[str] = msgspec.field(default_factory=list)

    def fault(self, what: str) -> None:
        """Note one thing that is not as it must be."""
        self.faults += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(what)

    @property
    def holds(self) -> bool:
        """Whether everything looked at is as it must be."""
        return not self.faults


ANY: Final = 254
"""Owed by a record that nothing can be asked of any more."""

_NO_RECORD: Final = 255
_COUNT_MAX: Final = 253


class Causes:
    """What each record of one partition owes, and how many messages say it caused them.

    Two bytes a record; counts stop at 253.
    """

    def __init__(self, first: int, end: int) -> None:
        self.first = first
        self._owed = bytearray([_NO_RECORD]) * max(0, end - first)
        self._caused = bytearray(len(self._owed))
        self._strays: list[int] = []

    def owe(self, offset: int, messages: int) -> None:
        """There is a record at this offset; it owes so many messages (or ANY)."""
        self._owed[offset - self.first] = messages

    def has(self, offset: int) -> bool:
        """Whether there is a record at this offset."""
        index = offset - self.first
        return 0 <= index < len(self._owed) and self._owed[index] != _NO_RECORD

    def records(self) -> int:
        """How many records there are."""
        return len(self._owed) - self._owed.count(_NO_RECORD)

    def note(self, offset: int) -> None:
        """A message says this record caused it. What retention took away is passed over."""
        index = offset - self.first
        if index < 0:
            return
        if index >= len(self._caused):
            self._strays.append(offset)
        elif self._caused[index] < _COUNT_MAX:
            self._caused[index] += 1

    def judge(self, *, exactly: bool) -> Iterator[tuple[int, str]]:
        """Offsets that did not cause what they owe, and what is wrong with each.

        Unless `exactly`, a record that owes may cause any number, and one that owes nothing too.
        """
        for index, (owed, caused) in enumerate(zip(self._owed, self._caused, strict=True)):
            if owed == _NO_RECORD:
                if caused:
                    yield self.first + index, "caused something and is no committed record"
            elif owed == ANY:
                continue
            elif caused < owed:
                yield self.first + index, f"caused {caused} messages and owes {owed}"
            elif exactly and caused > owed:
                yield self.first + index, f"caused {caused} messages and owes only {owed}"
        for offset in self._strays:
            yield offset, "caused something and is beyond the end"


class Sequences:
    """Numbers that count up from 1 without a gap, many of them side by side."""

    def __init__(self) -> None:
        self._last: dict[tuple[str | int, ...], int] = {}

    def follows(self, name: tuple[str | int, ...], number: int, *, may_begin_late: bool) -> bool:
        """Note the next number; false if it leaves a gap or goes back.

        `may_begin_late`: the first one seen may be any, since retention took those before it.
        """
        last = self._last.get(name)
        self._last[name] = number
        if last is None:
            return may_begin_late or number == 1
        return number == last + 1


class Fates:
    """What became of every order, as its execution reports say."""

    def __init__(self) -> None:
        self._orders: dict[str, tuple[int, int, int]] = {}
        """Status, cumulative quantity, total quantity."""

    def report(self, report: ExecutionReport, *, may_begin_late: bool) -> str:
        """Take one report in, in order of its account; what is wrong with it, or nothing."""
        if report.order_status == codes.NO_ORDER or not report.account_sequence:
            return ""
        kind = report.exec_type
        if kind in (codes.EXEC_ORDER_STATUS, codes.EXEC_COMMAND_REJECTED):
            return ""  # says what is, changes nothing
        before = self._orders.get(report.order_id)
        if kind in _BEGINNINGS and before is not None and before[0] not in codes.LIVE_STATUSES:
            before = None  # the id is used again, its first order ended and was forgotten
        fault = self._fault(report, before, may_begin_late=may_begin_late)
        self._orders[report.order_id] = (
            report.order_status,
            report.cumulative_quantity,
            report.quantity,
        )
        return fault

    def _fault(
        self,
        report: ExecutionReport,
        before: tuple[int, int, int] | None,
        *,
        may_begin_late: bool,
    ) -> str:
        kind = report.exec_type
        is_live = report.order_status in codes.LIVE_STATUSES
        left = report.quantity - report.cumulative_quantity if is_live else 0
        if before is None:
            known = may_begin_late or kind in _FIRST
            filled = report.cumulative_quantity - report.last_quantity if may_begin_late else 0
        else:
            is_beginning = kind in _BEGINNINGS
            known = is_beginning == (before[0] == codes.PENDING_NEW) or kind in _ANSWERS
            filled = before[1]
        was_live = before is None or before[0] in codes.LIVE_STATUSES
        checks = (
            (known, "is new twice, or was never new"),
            (was_live or kind in _ANSWERS, "had ended before"),
            (report.cumulative_quantity == filled + report.last_quantity, "miscounts its fills"),
            (
                report.cumulative_quantity <= max(report.quantity, 0),
                "is filled beyond its quantity",
            ),
            (report.remaining_quantity == left, "miscounts what remains"),
            (
                report.order_status != codes.FILLED
                or report.cumulative_quantity == report.quantity,
                "is FILLED and is not",
            ),
        )
        return next((f"{report.order_id} {fault}" for holds, fault in checks if not holds), "")

    def counts(self) -> Mapping[str, int]:
        """How many orders are filled, canceled, rejected or open; together all of them."""
        found = {"filled": 0, "canceled": 0, "rejected": 0, "open": 0}
        for status, _, _ in self._orders.values():
            found[_FATE_NAMES.get(status, "open")] += 1
        return found

    def __len__(self) -> int:
        return len(self._orders)


_ANSWERS: Final = (codes.EXEC_CANCEL_REJECTED, codes.EXEC_REPLACE_REJECTED)
"""Refusals that change nothing: they may come before NEW, and after the end."""

_BEGINNINGS: Final = (codes.EXEC_NEW, codes.EXEC_REJECTED)

_FIRST: Final = (*_BEGINNINGS, *_ANSWERS)
"""What may be said about an order of which nothing was said before."""

_FATE_NAMES: Final = {
    codes.FILLED: "filled",
    codes.CANCELED: "canceled",
    codes.REJECTED: "rejected",
}
