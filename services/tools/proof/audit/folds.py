"""`accounts` and `matching`: folded by the models, compared with what the rooms made of them."""

from bisect import insort
from collections.abc import Iterable, Sequence
from typing import Final

from services.runtime.ports import Record, Snapshot
from services.tools.proof.audit.ledger import Finding, Ledger, Place
from services.tools.proof.audit.model import MatcherModel, RiskModel
from services.tools.proof.audit.partitions import Deriver, PartitionAudit
from services.tools.proof.audit.schemas import Message, Schemas
from services.tools.proof.audit.stops import (
    FORMAT_VERSION,
    Model,
    SnapshotStop,
    Stop,
    ViewStop,
    describe,
)

ROOMS: Final = {"accounts": "risk", "matching": "matcher"}
"""Whose snapshots belong to which topic."""


def open_model(place: Place, start: Snapshot | None) -> Model:
    """The model before a partition's first record, or as of a snapshot.

    Raises:
        ValueError: the snapshot holds no state of this partition.
    """
    topic, partition = place
    kind = RiskModel if topic == "accounts" else MatcherModel
    return kind(partition) if start is None else kind.load(partition, start.state)


class FoldAudit(PartitionAudit):
    """Folds one inbox with a model, from its beginning or from where `ledger.starts` says."""

    def __init__(
        self, place: Place, schemas: Schemas, ledger: Ledger, *, first: int, begins_late: bool
    ) -> None:
        super().__init__(place, schemas, ledger, first=first, begins_late=begins_late)
        self._deriver = Deriver(place, schemas, ledger)
        self._start = ledger.starts.get(place)
        self._model = open_model(place, self._start)
        self._last = first - 1
        self._stops: list[Stop] = []
        self.late: list[Stop] = []
        """What came to be known only when the model was past it."""
        self._known: set[Snapshot] = set()
        self._shown: tuple[Record, Message] | None = None
        self._reported = 0

    # --- what to compare on the way

    def expect_snapshots(self, snapshots: Iterable[Snapshot], topic_id: str) -> None:
        """Compare these with the model's state where they were taken, each once."""
        for snapshot in snapshots:
            if snapshot in self._known:
                continue
            self._known.add(snapshot)
            stop = SnapshotStop(snapshot)
            fault = stop.envelope_fault(topic_id)
            if fault is not None:
                self._ledger.report(fault)
            elif snapshot.format_version != FORMAT_VERSION:
                self._ledger.notes["snapshots of an older format, not compared"] += 1
            else:
                self._stop_at(stop)

    def expect_views(self, views: Iterable[tuple[Record, Message]]) -> None:
        """Compare these with the model's book right after the offset they state."""
        for record, message in views:
            self._shown = (record, message)
            self._stop_at(ViewStop(record, message, self._schemas))

    def _stop_at(self, stop: Stop) -> None:
        if self._start is not None and stop.bound < self._start.offset:
            self._ledger.notes["snapshots and views before the one begun at, not compared"] += 1
        elif stop.bound <= self._last:
            self.late.append(stop)
        else:
            insort(self._stops, stop, key=_bound)

    # --- folding

    def _work(self, records: Sequence[Record]) -> None:
        schemas, topic, rows, deriver = self._schemas, self.topic, self.rows, self._deriver
        take = self._model.take
        for record in records:
            offset = record.offset
            if self._stops and self._stops[0].bound <= offset:
                self._pass_stops(offset)
            message = schemas.decode(topic, record.value)
            if rows is not None:
                rows.expect(record, message)
            self._last = offset
            if message is None:
                self._ledger.note_junk(self.place, offset)
                continue
            self._see(record, message)
            deriver.derive(take(offset, message.record, message.fields))

    def _pass_stops(self, bound: int) -> None:
        while self._stops and self._stops[0].bound <= bound:
            self._judge(self._stops.pop(0), self._model)

    def _judge(self, stop: Stop, model: Model) -> None:
        self._ledger.checked[stop.check] += 1
        fault = stop.judge(model)
        if fault is not None:
            self._ledger.report(fault)

    def reach_end(self, end: int) -> None:
        """Also compare what belongs to the very end."""
        super().reach_end(end)
        self._pass_stops(end)

    def replay(self, chunks: Iterable[Sequence[Record]]) -> None:
        """Fold the log anew, from where the audit began, for what came late."""
        late = sorted(self.late, key=_bound)
        self.late = []
        model = open_model(self.place, self._start)
        for record in (record for chunk in chunks for record in chunk):
            while late and late[0].bound <= record.offset:
                self._judge(late.pop(0), model)
            message = self._schemas.decode(self.topic, record.value)
            if message is not None:
                model.take(record.offset, message.record, message.fields)
        for stop in late:
            self._judge(stop, model)

    # --- what the model found

    def finish(self, *, drained: bool) -> None:
        """Report the model's faults and, when nothing is on its way, what must hold at rest."""
        if drained:
            self._model.finish()
            self._compare_last_view()
            for stop in self._stops:
                self._ledger.report(stop.overrun(self.next))
            self._stops = []
        for fault in self._model.faults[self._reported :]:
            self._ledger.report(
                Finding(
                    fault.check, fault.topic, fault.partition, fault.offset,
                    "a log that keeps its promises", fault.what, rank=1,
                )
            )  # fmt: skip
        self._reported = len(self._model.faults)

    def totals(self) -> dict[str, int]:
        """What the model counted."""
        return self._model.totals()

    def _compare_last_view(self) -> None:
        """The last view of a book that rests shows the book as it is."""
        if self._shown is None:
            return
        assert isinstance(self._model, MatcherModel), "only matchers show books"
        record, message = self._shown
        depth = (self._model.depth_record() or {}) | {"origin": None}
        if depth != message.fields | {"origin": None}:
            self._ledger.report(
                Finding(
                    "views", record.topic, record.partition, record.offset,
                    describe(depth), describe(message.fields), where="the last view", rank=9,
                )
            )  # fmt: skip


def _bound(stop: Stop) -> int:
    return stop.bound
