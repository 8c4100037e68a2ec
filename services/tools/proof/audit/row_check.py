"""The rows of one partition against the records that they stand for."""

from array import array
from bisect import bisect_left
from typing import Final

from services.runtime.ports import Record
from services.tools.proof.audit.ledger import Finding, Ledger
from services.tools.proof.audit.row_maker import UnstorableError, archive_row, message_row
from services.tools.proof.audit.rows import (
    ARCHIVED,
    TABLES_OF,
    RowSource,
    compare_rows,
    table_of,
)
from services.tools.proof.audit.schemas import Message

_RANK: Final = 3
"""After what the log itself shows at the same time."""


class RowCheck:
    """Told of each record in order, compares in ranges as the reading goes on."""

    def __init__(self, topic: str, partition: int, first: int, ledger: Ledger) -> None:
        self._topic = topic
        self._partition = partition
        self._ledger = ledger
        self._tables = TABLES_OF[topic]
        self._archives_all = topic in ARCHIVED
        self._expected: dict[str, list[bytes]] = {table: [] for table in self._tables}
        self.next = first
        """Rows of everything below it have been compared."""
        self.limit = first
        """The recorder's position: rows from there on may not be there yet."""
        self._first = first
        self.waiting = array("q")
        """Offsets of records that were read and not yet recorded."""
        self._stray_from = first

    def begin(self, source: RowSource) -> None:
        """Learn how far the recorder is; once each time the log has grown."""
        self._source = source
        recorded = source.recorded(self._topic, self._partition)
        if recorded is not None:
            first, self.limit = recorded
            self._first = max(self._first, first)
            if self.next < self._first:
                self._ledger.notes["records older than the recorder's beginning"] += (
                    self._first - self.next
                )
                self.next = self._first
        del self.waiting[: bisect_left(self.waiting, self.limit)]

    def expect(self, record: Record, message: Message | None) -> None:
        """The next record, and the message in it unless it is junk."""
        offset = record.offset
        if offset >= self.limit:
            self.waiting.append(offset)
            return
        if offset < self.next:
            return
        expected = self._expected
        to_archive = self._archives_all
        if message is None:
            to_archive = True
        elif table := table_of(self._topic, message.record):
            try:
                expected[table].append(message_row(table, message.record, offset, message.fields))
            except UnstorableError:
                to_archive = True
        if to_archive:
            expected["archive"].append(archive_row(record))

    def compare(self, end: int) -> None:
        """Compare the rows of everything up to `end`, as far as it is recorded."""
        end = min(end, self.limit)
        start, self.next = self.next, max(self.next, end)
        if start >= end:
            return
        place = (self._topic, self._partition)
        for table in self._tables:
            expected = self._expected[table]
            self._expected[table] = []
            found = list(self._source.packed(table, *place, start, end))
            self._ledger.checked[f"rows of {table}"] += len(expected)
            fault = compare_rows(table, expected, found)
            if fault is not None:
                self._report(table, fault.offset, fault.expected, fault.found)

    def finish(self) -> None:
        """No row may be beyond what the recorder says it has recorded."""
        place = (self._topic, self._partition)
        for table in self._tables:
            for row in self._source.packed(table, *place, self.limit, _OFFSET_MAX):
                fault = compare_rows(table, (), (row,))
                assert fault is not None, "there is a row"
                what = f"a row beyond the recorder's position {self.limit}"
                self._report(table, fault.offset, "no row", what)
                break

    def _report(self, table: str, offset: int, expected: str, found: str) -> None:
        self._ledger.report(
            Finding(
                "rows", self._topic, self._partition, offset, expected, found,
                where=f"table {table}", rank=_RANK,
            )
        )  # fmt: skip


_OFFSET_MAX: Final = 2**63 - 1
