"""Golden snapshots: one of each format that a room ever wrote, which must load for ever.

`python -m tests.support.golden_snapshots` writes those that are missing; it never rewrites one.
"""

import json
from pathlib import Path
from typing import Final

from services.runtime.ports import Snapshot, TopicPartition
from services.tools.proof.snapshots_verify import STATEFUL
from services.wire.schemas import schema_directory
from tests.support.snapshot_world import SnapshotWorld

GOLDEN_SNAPSHOTS: Final = schema_directory() / "golden" / "snapshots"
PARTITION: Final = 1
_SEED: Final = 11
_COMMANDS: Final = 160


def state_path(room: str, version: int) -> Path:
    return GOLDEN_SNAPSHOTS / f"{room}.v{version}.bin"


def read_golden(room: str, version: int) -> Snapshot:
    """The stored example, in its envelope."""
    path = state_path(room, version)
    envelope = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return Snapshot(**envelope, state=path.read_bytes())


def write_missing() -> list[Path]:
    """Write the examples of the present formats that no file holds yet."""
    world = SnapshotWorld(_SEED, _COMMANDS)
    written = []
    for room, (_, topic) in STATEFUL.items():
        (snapshot,) = world.store.newest(room, topic.name, PARTITION, 1)
        path = state_path(room, snapshot.format_version)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(snapshot.state)
        envelope = {
            name: getattr(snapshot, name) for name in Snapshot.__struct_fields__ if name != "state"
        }
        path.with_suffix(".json").write_text(json.dumps(envelope, indent=1) + "\n", "utf-8")
        written.append(path)
    return written


def place_of(room: str) -> TopicPartition:
    """Where the examples are from."""
    return TopicPartition(STATEFUL[room][1].name, PARTITION)


if __name__ == "__main__":
    for made in write_missing():
        print(made)  # noqa: T201 - a command's output
