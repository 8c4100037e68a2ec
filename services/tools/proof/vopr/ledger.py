"""PostgreSQL in memory, as far as the recorder and the snapshots need it.

Sessions are tied to a lock; a transaction happens wholly or not at all. The database may be away,
and the outcome of a commit may be unknown to who asked for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Final

import msgspec
from msgspec.structs import replace

from services.recorder.core import RECORDED, Rows
from services.recorder.postgres import Move
from services.runtime.errors import FencedError, HistoryLostError, RetriableError
from services.runtime.memory import MemorySnapshots
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Record, Snapshot, TopicPartition
from services.tools.proof.vopr.taps import Tap

DEPLOYMENT_ID: Final = 1
DAMAGES: Final = ("torn", "flipped", "flipped", "missing", "newer", "all gone")
_FLIPS_TRIED: Final = 10
SNAPSHOTS_KEPT: Final = 6
"""Of each partition."""


class Database:
    """What stays when sessions come and go."""

    def __init__(self) -> None:
        self.is_away = False
        self.rows: dict[str, list[bytes]] = {}
        """By table, packed for COPY, in the order they were added."""
        self.offsets: dict[TopicPartition, int] = {}
        self.topic_ids: dict[str, str] = {}
        self.holder: MemoryLedger | None = None
        """The session that has the recorder's lock."""

    def require_here(self) -> None:
        """Raise if it is away."""
        if self.is_away:
            raise RetriableError("PostgreSQL is away; try again")


class MemoryLedger:
    """`recorder.service.Ledger` over a Database: one session of one process."""

    def __init__(self, database: Database, tap: Tap) -> None:
        database.require_here()
        self.database = database
        self.tap = tap
        self.is_open = True

    def require_session(self) -> None:
        """Raise if there is no database, or no session any more."""
        self.database.require_here()
        if not self.is_open:
            raise RetriableError("the server ended the session; try again")

    def try_lock(self) -> bool:
        """Take the lock if no session has it."""
        self.require_session()
        if self.database.holder is None:
            self.database.holder = self
        return self.database.holder is self

    def remember_topic(self, topic: str, topic_id: str) -> str:
        """The id first seen."""
        self.require_session()
        return self.database.topic_ids.setdefault(topic, topic_id)

    def deployment_id(self) -> int:
        """There is one deployment."""
        self.require_session()
        return DEPLOYMENT_ID

    def offsets(self, partitions: Mapping[str, int]) -> dict[TopicPartition, int]:
        """0 for a partition never seen."""
        self.require_session()
        for topic, count in partitions.items():
            for partition in range(count):
                self.database.offsets.setdefault(TopicPartition(topic, partition), 0)
        return {
            at: offset
            for at, offset in self.database.offsets.items()
            if at.partition < partitions.get(at.topic, 0)
        }

    def append(self, rows: Rows, moves: Mapping[TopicPartition, Move]) -> None:
        """Rows and offsets, both or neither."""
        self.tap.at("commit", "before")
        self.require_session()
        self.move(moves)
        self.add(rows)
        self.tap.at("commit", "after")

    def move(self, moves: Mapping[TopicPartition, Move]) -> None:
        """Move the offsets from where the writer believes them to be."""
        offsets = self.database.offsets
        if any(offsets.get(at) != move.previous for at, move in moves.items()):
            raise FencedError("another recorder moved the offsets; reading them again")
        offsets.update({at: move.next_offset for at, move in moves.items()})

    def add(self, rows: Rows) -> None:
        """Add the rows."""
        for table, packed in rows.by_table.items():
            self.database.rows.setdefault(table, []).extend(packed)

    def ping(self) -> None:
        """Whether the session is alive."""
        self.require_session()

    def close(self) -> None:
        """The session ends, and with it the lock."""
        self.is_open = False
        if self.database.holder is self:
            self.database.holder = None


class MemoryTail:
    """`recorder.service.Tail` over a MemoryLog.

    Args:
        random: how many records have arrived, and whether the ends behind markers are noticed.
    """

    def __init__(self, log: MemoryLog, random: Random, tap: Tap) -> None:
        self._log = log
        self._tap = tap
        self._random = random
        self._positions: dict[TopicPartition, int] = {}
        self._next = 0

    def topic_ids(self) -> Mapping[str, str]:
        """Of each recorded topic."""
        return {topic.name: self._log.topic_id(topic.name) for topic in RECORDED}

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Begin at these offsets."""
        for at, offset in offsets.items():
            if not self._log.start_offset(at) <= offset <= self._log.end_offset(at):
                raise HistoryLostError(f"{at.topic}/{at.partition}: the log has no {offset}")
        self._positions = dict(offsets)

    def read(self, records_max: int, idle_wait_ms: int, gather_ms: int) -> Sequence[Record]:
        """What has arrived: some of what is there, one partition after the other in turn."""
        del idle_wait_ms, gather_ms
        self._tap.at("poll", "before")
        found = self._read(records_max)
        self._tap.at("poll", "after")
        return found

    def _read(self, records_max: int) -> list[Record]:
        wanted = min(records_max, 1 + int(self._random.random() * 40))
        found: list[Record] = []
        places = list(self._positions)
        self._next += 1
        for turn in range(len(places)):
            at = places[(self._next + turn) % len(places)]
            position = self._positions[at]
            stable = self._log.stable_offset(at)
            if position >= stable:
                continue
            before = len(found)
            for record in self._log.scan(at, position, stable):
                if len(found) == wanted:
                    return found
                found.append(record)
                self._positions[at] = record.offset + 1
            if len(found) == before or self._random.random() < 0.5:
                self._positions[at] = stable  # the end of the partition was noticed
        return found

    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset of each partition."""
        return self._positions

    def ends(self) -> Mapping[TopicPartition, int]:
        """The stable end of each partition."""
        return {at: self._log.stable_offset(at) for at in self._positions}

    def close(self) -> None:
        """Nothing to give up."""


class MendableSnapshots(MemorySnapshots):
    """Snapshots in the database: away when it is, and open to damage."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def put(self, snapshot: Snapshot) -> None:
        """Keep it."""
        self._database.require_here()
        super().put(snapshot)
        kept = self._kept[snapshot.room, snapshot.topic, snapshot.partition]
        if len(kept) > SNAPSHOTS_KEPT:
            del kept[min(kept)]

    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]:
        """Highest offset first."""
        self._database.require_here()
        return super().newest(room, topic, partition, limit)

    def remember_topic(self, topic: str, topic_id: str) -> str:
        """The id first seen."""
        self._database.require_here()
        return self._database.topic_ids.setdefault(topic, topic_id)

    def every(self) -> Iterator[Snapshot]:
        """All that are kept, in order of place and offset."""
        for _, kept in sorted(self._kept.items()):
            for _, snapshot in sorted(kept.items()):
                yield snapshot

    def damage(self, random: Random) -> tuple[str, str]:
        """Damage the newest of some place, or all there; how, and whose they are."""
        if not self._kept:
            return "nothing to damage", ""
        place = list(self._kept)[int(random.random() * len(self._kept))]
        kept = self._kept[place]
        kind = DAMAGES[int(random.random() * len(DAMAGES))]
        if kind == "all gone" or not kept:
            del self._kept[place]
            return f"{kind}: {place}", place[0]
        offset = max(kept)
        snapshot = kept[offset]
        match kind:
            case "torn":
                state = snapshot.state[: int(random.random() * len(snapshot.state))]
                kept[offset] = replace(snapshot, state=state)
            case "flipped":
                kept[offset] = replace(snapshot, state=_flip(snapshot.state, random))
            case "newer":
                version = snapshot.format_version + 1
                kept[offset] = replace(snapshot, format_version=version)
            case _:
                del kept[offset]
        return f"{kind}: {place} at {offset}", place[0]


def _flip(state: bytes, random: Random) -> bytes:
    """One bit, if possible one whose change a decoder does not notice, and behind the genesis."""
    flipped = state
    if not state:
        return state  # torn to nothing before
    for _ in range(_FLIPS_TRIED):
        at = int(random.random() ** 0.4 * len(state))
        bit = 1 << int(random.random() * 3)
        flipped = state[:at] + bytes([state[at] ^ bit]) + state[at + 1 :]
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            msgspec.msgpack.decode(flipped)
            break
    return flipped
