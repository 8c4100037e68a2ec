"""One partition's audit: its records in order, what they say, and what must follow from them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

from services.runtime.ports import Record
from services.tools.proof.audit.digests import Chain, digest_of, pack_position
from services.tools.proof.audit.flows import FlowKey, Reach
from services.tools.proof.audit.ingest import SOURCE_NUMBERS, derive_commands
from services.tools.proof.audit.ledger import Digest, Finding, Ledger, Place
from services.tools.proof.audit.model import Derived
from services.tools.proof.audit.row_check import RowCheck
from services.tools.proof.audit.rows import TABLES_OF, RowSource, row_message
from services.tools.proof.audit.schemas import Fields, Message, Schemas

type Append = Callable[[int], None]
type AppendDigest = Callable[[bytes], None]

_KEY_FIELDS: Final = {"executions": "account", "account_states": "account", "trades": "ticker"}
"""What the key of each table's records is."""


class PartitionAudit(ABC):
    """Reads one partition. Subclasses say what its records mean.

    Args:
        first: where the log begins to be read; what is before is gone.
        begins_late: whether anything was before.
    """

    def __init__(
        self, place: Place, schemas: Schemas, ledger: Ledger, *, first: int, begins_late: bool
    ) -> None:
        self.place = place
        self.topic, self.partition = place
        self._schemas = schemas
        self._ledger = ledger
        self._chain = Chain()
        self._first = first
        self._begins_late = begins_late
        self.next = first
        """Everything below it has been read."""
        self._inflows: dict[tuple[int, int], tuple[AppendDigest, Append, Append]] = {}
        self.rows: RowCheck | None = None

    def begin_rows(self, source: RowSource | None) -> None:
        """See how far the rows have come, each time before reading on."""
        if source is None or self.topic not in TABLES_OF:
            return
        if self.rows is None:
            self.rows = RowCheck(self.topic, self.partition, self._first, self._ledger)
        self.rows.begin(source)

    def take(self, records: Sequence[Record]) -> None:
        """The next records, in order."""
        self._chain.add(records)
        self._work(records)
        self._ledger.checked[f"records of {self.topic}"] += len(records)
        if self.rows is not None and records:
            self.rows.compare(records[-1].offset + 1)

    @abstractmethod
    def _work(self, records: Sequence[Record]) -> None:
        """What this kind of partition owes and shows."""

    def reach_end(self, end: int) -> None:
        """Everything below `end` has been given, as far as there is anything."""
        self.next = max(self.next, end)
        if self.rows is not None:
            self.rows.compare(end)
            self.rows.finish()
        self._ledger.reaches[self.place] = Reach(self._first, self.next, self._begins_late)
        chain = self._chain
        self._ledger.digests[self.place] = Digest(
            self.topic,
            self.partition,
            max(chain.first_offset, 0),
            chain.next_offset,
            chain.records,
            chain.hexdigest(),
        )

    def recheck_rows(self, records: Sequence[Record]) -> None:
        """Records that were read before their rows were there."""
        assert self.rows is not None, "begin_rows first"
        for record in records:
            self.rows.expect(record, self._schemas.decode(self.topic, record.value))

    def _see(self, record: Record, message: Message) -> None:
        """Note that a message is there, in the flow it says it came by."""
        origin: dict[str, int] = message.fields["origin"]
        source = (origin["topic"], origin["partition"])
        appends = self._inflows.get(source)
        if appends is None:
            flow = self._ledger.flows.of(FlowKey(*source, self.topic, self.partition))
            appends = (flow.seen.frombytes, flow.seen_at.append, flow.seen_from.append)
            self._inflows[source] = appends
        see, see_at, see_from = appends
        see(digest_of(record.key, message.canonical))
        see_at(record.offset)
        see_from(pack_position(origin["offset"], origin["index"]))


class Deriver:
    """Turns what must follow into the flows' other side."""

    def __init__(self, place: Place, schemas: Schemas, ledger: Ledger) -> None:
        self._source = (SOURCE_NUMBERS[place[0]], place[1])
        self._schemas = schemas
        self._ledger = ledger
        self._outflows: dict[str, dict[int, tuple[AppendDigest, Append]]] = {}

    def derive(self, messages: list[Derived]) -> None:
        """Everything that must follow from one record."""
        schemas = self._schemas
        for message in messages:
            topic, fields = message.topic, message.fields
            flows = self._outflows.get(topic)
            appends = None if flows is None else flows.get(message.partition)
            if appends is None:
                appends = self._open(topic, message.partition)
            derive, derive_at = appends
            origin: dict[str, int] = fields["origin"]
            value = schemas.encode(topic, message.record, fields)
            derive(digest_of(message.key.encode(), value))
            derive_at(pack_position(origin["offset"], origin["index"]))

    def _open(self, topic: str, partition: int) -> tuple[AppendDigest, Append]:
        flow = self._ledger.flows.of(FlowKey(*self._source, topic, partition))
        appends = (flow.derived.frombytes, flow.derived_at.append)
        self._outflows.setdefault(topic, {})[partition] = appends
        return appends


class DoorAudit(PartitionAudit):
    """`orders` and `controls`: each record becomes its commands, or one dead letter."""

    def __init__(
        self, place: Place, schemas: Schemas, ledger: Ledger, *, first: int, begins_late: bool
    ) -> None:
        super().__init__(place, schemas, ledger, first=first, begins_late=begins_late)
        self._deriver = Deriver(place, schemas, ledger)

    def _work(self, records: Sequence[Record]) -> None:
        for record in records:
            self._deriver.derive(derive_commands(self._schemas, record))
            if self.rows is not None:
                self.rows.expect(record, None)


class FeedAudit(PartitionAudit):
    """`executions`, `trades`, `orders.dlq`: what is said, and nothing follows from it."""

    def __init__(
        self, place: Place, schemas: Schemas, ledger: Ledger, *, first: int, begins_late: bool
    ) -> None:
        super().__init__(place, schemas, ledger, first=first, begins_late=begins_late)
        self._sequences: dict[str, int] = {}

    def read_rows(self, source: RowSource) -> None:
        """Where retention took the topic's beginning, its rows stand for it."""
        recorded = source.recorded(self.topic, self.partition)
        tables = [table for table in TABLES_OF.get(self.topic, ()) if table in _KEY_FIELDS]
        if recorded is None or recorded[0] or not tables:
            return
        self._begins_late = False
        found = [
            (*row_message(table, row), table)
            for table in tables
            for row in source.packed(table, *self.place, 0, self._first)
        ]
        for offset, name, fields, table in sorted(found, key=itemgetter(0)):
            value = self._schemas.encode(self.topic, name, fields)
            key = fields[_KEY_FIELDS[table]].encode()
            record = Record(self.topic, self.partition, offset, 0, key, value)
            self._see(record, Message(name, fields, value))
            self._ledger.checked[f"messages of {self.topic}, from {table} alone"] += 1
            if name != "Trade":
                self._follow(offset, fields)

    def _work(self, records: Sequence[Record]) -> None:
        decode, topic = self._schemas.decode, self.topic
        for record in records:
            message = decode(topic, record.value)
            if self.rows is not None:
                self.rows.expect(record, message)
            if message is None:
                self._ledger.note_junk(self.place, record.offset)
                continue
            self._see(record, message)
            if topic == "executions":
                self._follow(record.offset, message.fields)

    def _follow(self, offset: int, fields: Fields) -> None:
        """An account's reports count up from 1 without a gap; 0 is an account nobody opened."""
        number = fields["account_sequence"]
        if not number:
            return
        account = fields["account"]
        last = self._sequences.get(account)
        self._sequences[account] = number
        if number != (last or 0) + 1 and not (last is None and self._begins_late):
            self._ledger.report(
                Finding(
                    "account sequences", *self.place, offset,
                    f"{account}'s report {(last or 0) + 1}", f"report {number}", rank=1,
                )
            )  # fmt: skip


class ViewAudit(PartitionAudit):
    """`book`: views that the matcher's audit compares with the model at their offset."""

    def __init__(
        self, place: Place, schemas: Schemas, ledger: Ledger, *, first: int, begins_late: bool
    ) -> None:
        super().__init__(place, schemas, ledger, first=first, begins_late=begins_late)
        self.new: list[tuple[Record, Message]] = []
        """Views that nobody has compared yet."""

    def _work(self, records: Sequence[Record]) -> None:
        for record in records:
            message = self._schemas.decode(self.topic, record.value)
            if message is None:
                self._ledger.note_junk(self.place, record.offset)
            else:
                self.new.append((record, message))
