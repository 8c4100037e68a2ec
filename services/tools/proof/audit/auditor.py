"""The audit of one deployment: reads the committed log, and what was not right is in `findings`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from services.runtime.errors import HistoryLostError
from services.runtime.ports import LogReader, Record, Snapshot, Snapshots, TopicPartition
from services.tools.proof.audit.explain import LAST_MS, explain
from services.tools.proof.audit.flows import settle_flows
from services.tools.proof.audit.folds import ROOMS, FoldAudit
from services.tools.proof.audit.ingest import SOURCE_NUMBERS
from services.tools.proof.audit.ledger import Digest, Finding, Ledger, Place
from services.tools.proof.audit.partitions import DoorAudit, FeedAudit, PartitionAudit, ViewAudit
from services.tools.proof.audit.rows import RowSource
from services.tools.proof.audit.schemas import Schemas
from services.tools.proof.audit.stops import FORMAT_VERSION, SnapshotStop
from services.wire.topics import BY_NAME

READ_ORDER: Final = (
    "book", "executions", "trades", "orders.dlq", "matching", "accounts", "orders", "controls",
)  # fmt: skip
"""Ends are asked for in this order: what is caused before its cause, where that is possible."""

PLACES: Final[tuple[Place, ...]] = tuple(
    (topic, partition) for topic in READ_ORDER for partition in range(BY_NAME[topic].partitions)
)
"""Every partition of the exchange."""

SOURCE_NAMES: Final = {number: name for name, number in SOURCE_NUMBERS.items()}

_MAKERS: Final[dict[str, type[PartitionAudit]]] = {
    "orders": DoorAudit,
    "controls": DoorAudit,
    "accounts": FoldAudit,
    "matching": FoldAudit,
    "executions": FeedAudit,
    "trades": FeedAudit,
    "orders.dlq": FeedAudit,
    "book": ViewAudit,
}
_SNAPSHOTS_MAX: Final = 1_000

type Progress = Callable[[str, int], None]
"""Takes the topic being read and how many of its records were read just now."""


class Findings(msgspec.Struct, frozen=True):
    """What an audit found, so far as it has read."""

    first: Finding | None
    """The earliest thing that is not as it must be, by log time."""
    findings: tuple[Finding, ...]
    """In order of log time."""
    checked: dict[str, int]
    """How many things each check has looked at."""
    notes: dict[str, int]
    """What was not compared, and why."""
    digests: tuple[Digest, ...]
    totals: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether everything is as the log says it must be."""
        return self.first is None


class Auditor:
    """Audits as much as there is, and goes on where it stopped when asked again.

    Args:
        log: committed records.
        schemas: `local_schemas()` on a memory log.
        rows: PostgreSQL's; None leaves them out.
        snapshots: the rooms'; None leaves them out.
        only: the partitions to read; all, unless other processes read the others.
        from_snapshots: begin each fold at its newest good snapshot instead of at zero. What is
            before is not checked, and what that snapshot says is believed.
    """

    def __init__(
        self,
        log: LogReader,
        schemas: Schemas,
        rows: RowSource | None = None,
        snapshots: Snapshots | None = None,
        *,
        only: Collection[Place] = PLACES,
        from_snapshots: bool = False,
    ) -> None:
        self._log = log
        self._schemas = schemas
        self._rows = rows
        self._snapshots = snapshots
        self._from_snapshots = from_snapshots
        self._places = [place for place in PLACES if place in only]
        self._audits: dict[Place, PartitionAudit] = {}
        self._topic_ids: dict[str, str] = {}
        self.ledger = Ledger()

    def advance(
        self,
        ends: Mapping[Place, int] | None = None,
        progress: Progress = lambda _topic, _records: None,
    ) -> None:
        """Read everything that is committed by now (or up to these ends). Blocks.

        Raises:
            HistoryLostError: the log no longer holds what a fold needs from its beginning.
            RetriableError: a part of the stack does not answer.
        """
        ends = ends or read_ends(self._log)
        if self._rows is not None:
            self._rows.refresh()
        if self._rows is not None and ("controls", 0) in self._places:
            self._report_strays(self._rows)
        for place in self._places:
            audit = self._audits.get(place) or self._open(place, ends[place])
            if isinstance(audit, FoldAudit):
                self._expect(audit)
            audit.begin_rows(self._rows)
            self._read(audit, ends[place], progress)
            if isinstance(audit, FoldAudit) and audit.late:
                end = max(stop.bound for stop in audit.late)
                start = self.ledger.starts.get(place)
                audit.replay(self._chunks(place, 0 if start is None else start.offset, end))

    def findings(self, *, drained: bool = True) -> Findings:
        """Judge what has been read.

        Args:
            drained: nothing is on its way any more, so what is missing is lost. False: what lies
                beyond the last message of a flow may still come.
        """
        self.close_books(drained=drained)
        return judge(self.ledger, self._log, self._schemas, drained=drained)

    def close_books(self, *, drained: bool) -> None:
        """Put the models' own findings and totals into the ledger."""
        self.ledger.totals.clear()
        for audit in self._audits.values():
            if isinstance(audit, FoldAudit):
                audit.finish(drained=drained)
                self.ledger.totals.update(
                    {f"{audit.topic} {name}": n for name, n in audit.totals().items()}
                )
            if audit.rows is not None:
                self.ledger.notes["records not yet recorded in PostgreSQL"] = sum(
                    len(a.rows.waiting) for a in self._audits.values() if a.rows is not None
                )

    def _open(self, place: Place, end: int) -> PartitionAudit:
        first, _ = self._log.bounds(TopicPartition(*place))
        if place[0] in ROOMS:
            first = self._begin_fold(place, first, end)
        audit = _MAKERS[place[0]](
            place, self._schemas, self.ledger, first=first, begins_late=first > 0
        )
        self._audits[place] = audit
        if first and isinstance(audit, FeedAudit) and self._rows is not None:
            audit.read_rows(self._rows)
        return audit

    def _begin_fold(self, place: Place, first: int, end: int) -> int:
        """Where to begin: at zero or, if that was asked for, at the newest good snapshot."""
        start = self._choose_start(place, end) if self._from_snapshots else None
        if start is None:
            if not first:
                return 0
            raise HistoryLostError(
                f"{place[0]}/{place[1]} begins at offset {first}, and an audit needs it from 0:"
                " let it read PostgreSQL's archive (without --no-database), or begin at a snapshot"
                " (--from-snapshot)"
            )
        if start.offset < first:
            raise HistoryLostError(
                f"{place[0]}/{place[1]} begins at offset {first}, after its newest snapshot at"
                f" {start.offset}: let the audit read PostgreSQL's archive (without --no-database)"
            )
        self.ledger.starts[place] = start
        self.ledger.notes["folds begun at a snapshot"] += 1
        return start.offset

    def _choose_start(self, place: Place, end: int) -> Snapshot | None:
        topic_id = self._topic_id(place[0])
        for snapshot in self._kept(place):
            if snapshot.offset > end or snapshot.format_version != FORMAT_VERSION:
                continue
            if SnapshotStop(snapshot).envelope_fault(topic_id) is None:
                return snapshot
        return None

    def _kept(self, place: Place) -> Sequence[Snapshot]:
        if self._snapshots is None:
            return ()
        return self._snapshots.newest(ROOMS[place[0]], *place, _SNAPSHOTS_MAX)

    def _topic_id(self, topic: str) -> str:
        if topic not in self._topic_ids:
            self._topic_ids[topic] = self._log.topic_id(topic)
        return self._topic_ids[topic]

    def _expect(self, audit: FoldAudit) -> None:
        """What to compare on the way."""
        if audit.topic == "matching":
            views = self._audits.get(("book", audit.partition))
            assert isinstance(views, ViewAudit), "book is read by whoever reads matching, before it"
            audit.expect_views(views.new)
            views.new = []
        if self._snapshots is not None:
            audit.expect_snapshots(self._kept(audit.place), self._topic_id(audit.topic))

    def _report_strays(self, rows: RowSource) -> None:
        for table, topic, partition, offset in rows.strays():
            found = f"a row of {topic or 'no topic'}/{partition}, which does not exist"
            self.ledger.report(
                Finding("rows", topic, partition, offset, "no row", found, f"table {table}", rank=3)
            )

    def _read(self, audit: PartitionAudit, end: int, progress: Progress) -> None:
        if audit.rows is not None and audit.rows.next < min(audit.next, audit.rows.limit):
            recorded = min(audit.next, audit.rows.limit)
            for chunk in self._chunks(audit.place, audit.rows.next, recorded):
                audit.recheck_rows(chunk)
        for chunk in self._chunks(audit.place, audit.next, end):
            audit.take(chunk)
            progress(audit.topic, len(chunk))
        audit.reach_end(end)

    def _chunks(self, place: Place, start: int, end: int) -> Iterator[Sequence[Record]]:
        return self._log.read(TopicPartition(*place), start, end)


def read_ends(log: LogReader) -> dict[Place, int]:
    """How far every partition is committed, in an order in which causes are not behind."""
    return {place: log.bounds(TopicPartition(*place))[1] for place in PLACES}


def judge(ledger: Ledger, log: LogReader, schemas: Schemas, *, drained: bool) -> Findings:
    """Compare the two sides of every flow, and put all findings in order of log time."""
    settle_flows(ledger.flows, ledger.reaches, SOURCE_NAMES)
    checked, notes = ledger.checked.copy(), ledger.notes.copy()
    differences = []
    for flow in ledger.flows:
        target = ledger.reaches[flow.key.topic, flow.key.partition]
        difference = flow.difference
        if drained:
            difference = flow.lost(target.next, begins_late=target.begins_late)
        elif difference is None:
            notes["messages on their way"] += len(flow.derived) + len(flow.seen)
        checked[f"messages of {flow.key.topic}"] += flow.compared
        notes["messages whose other side retention took"] += flow.skipped
        if difference is not None:
            differences.append(difference)
    found = [*explain(differences, ledger, log, schemas), *ledger.findings]
    if drained and not ledger.starts:
        checked["totals"] = len(_EQUAL_TOTALS)
        found += _unequal_totals(ledger)
    found.sort(key=_order)
    return Findings(
        first=found[0] if found else None,
        findings=tuple(found),
        checked={name: count for name, count in sorted(checked.items()) if count},
        notes={name: count for name, count in sorted(notes.items()) if count},
        digests=tuple(ledger.digests[place] for place in sorted(ledger.digests)),
        totals=dict(sorted(ledger.totals.items())),
    )


_EQUAL_TOTALS: Final = (
    (("accounts orders_submitted",),
     ("accounts orders_filled", "accounts orders_canceled", "accounts orders_rejected",
      "accounts orders_open")),
    (("accounts shares_bought",), ("accounts shares_sold",)),
    (("accounts shares_bought",), ("matching shares_traded",)),
    (("accounts orders_filled",), ("matching orders_filled",)),
    (("accounts orders_canceled",), ("matching orders_canceled",)),
    (("accounts orders_open",), ("matching orders_resting",)),
)  # fmt: skip
"""What is equal over all partitions, once nothing is on its way: conservation."""


def _unequal_totals(ledger: Ledger) -> Iterator[Finding]:
    for left, right in _EQUAL_TOTALS:
        expected = sum(ledger.totals[name] for name in left)
        found = sum(ledger.totals[name] for name in right)
        if expected != found:
            yield Finding(
                "CONSERVATION", "accounts", 0, ledger.reaches["accounts", 0].next,
                f"{' + '.join(left)} = {expected}", f"{' + '.join(right)} = {found}",
                where="totals over all partitions", time_ms=LAST_MS, rank=9,
            )  # fmt: skip


def _order(finding: Finding) -> tuple[int, int, str, int, int]:
    return finding.time_ms, finding.rank, finding.topic, finding.partition, finding.offset


def all_of(places: Iterable[Place]) -> list[Place]:
    """In the order in which they are read."""
    wanted = set(places)
    return [place for place in PLACES if place in wanted]
