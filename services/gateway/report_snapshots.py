"""Snapshots of what reports come to: shortcuts for a gateway's start, which may be deleted.

They stand beside those of the rooms, under the same envelope (ADR 8). Every gateway of a deployment
may use and replace them: at the same offset each would write the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from services.gateway.core.report_state import FORMAT_VERSION, ReportState
from services.runtime.errors import ConfigurationError, RetriableError
from services.runtime.ports import Snapshot
from services.runtime.restore import first_good, hash_state, require_hash, require_topic
from services.runtime.telemetry import Telemetry
from services.wire.codec import HEADER_BYTES, Codec, UndecodableError
from services.wire.topics import EXECUTIONS

ROOM: Final = "gateway"


class SnapshotStore(Protocol):
    """The part of `ports.Snapshots` that is needed here."""

    def put(self, snapshot: Snapshot) -> None: ...

    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]: ...


class Standing(msgspec.Struct, frozen=True):
    """A state, and the offset of the next report that it has not taken in."""

    offset: int
    state: ReportState


class ReportSnapshots:
    """Finds the newest good snapshot of each partition, and keeps new ones. Blocks."""

    def __init__(self, store: SnapshotStore, codec: Codec, telemetry: Telemetry) -> None:
        self._store = store
        self._codec = codec
        self._telemetry = telemetry

    def newest(self, ends: Mapping[int, int], topic_id: str) -> dict[int, Standing]:
        """Of each partition the newest that is good and not beyond its end.

        One that is not good is said in the log and passed over. A partition without a good one, or
        whose store is away, has none here: then all that it says is to be asked for.

        Args:
            ends: by partition, the offset that a state may not have passed.
            topic_id: of the topic that the ends are of.
        """
        found = {}
        for partition, end in ends.items():
            standing = self._newest_good(partition, end, topic_id)
            if standing is not None:
                found[partition] = standing
        return found

    def keep(self, partition: int, standing: Standing, topic_id: str) -> int:
        """Store a state; returns its size in bytes.

        Raises:
            RetriableError: the store is away; a later one serves as well.
            NoTablesError: it was never prepared.
        """
        state = standing.state.dump()
        self._store.put(
            Snapshot(
                room=ROOM,
                topic=EXECUTIONS.name,
                partition=partition,
                offset=standing.offset,
                topic_id=topic_id,
                format_version=FORMAT_VERSION,
                genesis_hash="",
                state=state,
                state_hash=hash_state(state),
            )
        )
        return len(state)

    def _newest_good(self, partition: int, end: int, topic_id: str) -> Standing | None:
        if end <= 0:
            return None
        try:
            found = first_good(
                lambda limit: self._store.newest(ROOM, EXECUTIONS.name, partition, limit),
                lambda snapshot: self._load(snapshot, end, topic_id),
                self._telemetry,
            )
        except (RetriableError, ConfigurationError) as error:
            self._telemetry.log.warning("snapshots_unknown", error=str(error))
            return None
        return Standing(found[0].offset, found[1]) if found else None

    def _load(self, snapshot: Snapshot, end: int, topic_id: str) -> ReportState:
        require_topic(snapshot, topic_id)
        if not 0 < snapshot.offset <= end:
            raise ValueError(f"it is ahead of offset {end}, where the topic is to be read from")
        if snapshot.format_version != FORMAT_VERSION:
            raise ValueError(
                f"its format version is {snapshot.format_version}, and this version of Outcry"
                f" reads {FORMAT_VERSION}"
            )
        require_hash(snapshot)
        state = ReportState.load(snapshot.state)
        framings = {value[:HEADER_BYTES]: value for value in state.values()}
        for value in framings.values():
            try:
                self._codec.writer_of(EXECUTIONS.name, value)
            except UndecodableError as error:
                raise ValueError(f"it holds a record that can't be read: {error}") from error
        return state
