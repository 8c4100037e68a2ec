"""What is compared with a model half way: snapshots and views, each where it was taken."""

from hashlib import blake2b
from typing import Final, Protocol

from services.runtime.ports import Record, Snapshot
from services.tools.proof.audit.ledger import Finding
from services.tools.proof.audit.model import Derived, Fault, MatcherModel
from services.tools.proof.audit.schemas import Fields, Message, Schemas

FORMAT_VERSION: Final = 1
"""Of the states that the models write."""

_RANK: Final = 2
"""Among findings of one time: after what the log itself shows."""


class Model(Protocol):
    """The second implementation of one room's fold."""

    @property
    def faults(self) -> list[Fault]: ...
    def take(self, offset: int, record: str, fields: Fields) -> list[Derived]: ...
    def finish(self) -> None: ...
    def state(self) -> bytes: ...
    def genesis_hash(self) -> str: ...
    def totals(self) -> dict[str, int]: ...


class Stop(Protocol):
    """Something to compare when everything below `bound` is folded, and nothing else."""

    @property
    def bound(self) -> int: ...

    @property
    def check(self) -> str:
        """What it counts as."""

    def judge(self, model: Model) -> Finding | None:
        """What is wrong with it."""

    def overrun(self, end: int) -> Finding:
        """It claims to be of an offset that the log has not reached."""


class SnapshotStop:
    """A room's snapshot: its state is the model's state."""

    check = "snapshots"

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.bound = snapshot.offset

    def judge(self, model: Model) -> Finding | None:
        """Equal states have equal bytes."""
        state, genesis_hash = model.state(), model.genesis_hash()
        kept = self._snapshot
        if state != kept.state:
            at = _first_difference(state, kept.state)
            return self._finding(
                f"{len(state)} bytes, hash {hash_state(state)}",
                f"{len(kept.state)} bytes, the first other one at {at}",
            )
        if genesis_hash != kept.genesis_hash:
            return self._finding(f"genesis {genesis_hash}", f"genesis {kept.genesis_hash}")
        return None

    def envelope_fault(self, topic_id: str) -> Finding | None:
        """What can be said of it without the log."""
        kept = self._snapshot
        if hash_state(kept.state) != kept.state_hash:
            return self._finding(f"hash {hash_state(kept.state)}", f"hash {kept.state_hash}")
        if kept.topic_id != topic_id:
            return self._finding(f"topic id {topic_id}", f"topic id {kept.topic_id}")
        if not 1 <= kept.format_version <= FORMAT_VERSION:
            return self._finding(
                f"a format up to {FORMAT_VERSION}", f"format {kept.format_version}"
            )
        return None

    def overrun(self, end: int) -> Finding:
        """A snapshot ahead of the log."""
        return self._finding(f"an offset up to {end}", f"offset {self.bound}")

    def _finding(self, expected: str, found: str) -> Finding:
        kept = self._snapshot
        return Finding(
            "snapshots", kept.topic, kept.partition, kept.offset, expected, found,
            where=f"snapshot of {kept.room}", rank=_RANK,
        )  # fmt: skip


class ViewStop:
    """A record of `book`: it shows the model's book right after the offset it states."""

    check = "views of books"

    def __init__(self, record: Record, message: Message, schemas: Schemas) -> None:
        self._record = record
        self._message = message
        self._schemas = schemas
        self.bound: int = message.fields["origin"]["offset"] + 1

    def judge(self, model: Model) -> Finding | None:
        """Byte by byte, the key too."""
        assert isinstance(model, MatcherModel), "only matchers show books"
        depth = model.depth_record()
        if depth is None:
            return self._finding("no view: no ticker trades here yet")
        value = self._schemas.encode(self._record.topic, self._message.record, depth)
        key = depth["ticker"].encode()
        if value == self._message.canonical and key == self._record.key:
            return None
        return self._finding(f"{describe(depth)} (key {key!r})")

    def overrun(self, end: int) -> Finding:
        """A view of what has not happened."""
        return self._finding(f"an origin below {end}")

    def _finding(self, expected: str) -> Finding:
        record = self._record
        return Finding(
            "views", record.topic, record.partition, record.offset, expected,
            f"{describe(self._message.fields)} (key {record.key!r})",
            time_ms=record.timestamp_ms, rank=_RANK,
        )  # fmt: skip


def hash_state(state: bytes) -> str:
    """As a snapshot's envelope has it."""
    return blake2b(state, digest_size=32).hexdigest()


def describe(fields: Fields) -> str:
    """For people."""
    return ", ".join(f"{name}={value}" for name, value in fields.items())


def _first_difference(left: bytes, right: bytes) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))
