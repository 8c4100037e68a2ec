"""The audit of a simulated exchange: a second implementation that shares no code with the rooms.

The other checks fold with the rooms' own cores, so a core that is wrong is wrong on both sides.
"""

from typing import Final

from services.recorder.core import ARCHIVE_NUMBERS, TABLES
from services.runtime.memory import MemoryReader, MemorySnapshots
from services.runtime.restore import hash_state
from services.tools.proof.audit.auditor import Auditor
from services.tools.proof.audit.packed_rows import PackedRows
from services.tools.proof.audit.schemas import local_schemas
from services.tools.proof.vopr.stage import Stage
from services.tools.proof.vopr.world import World

ROWS_AUDITED_EVERY: Final = 8
"""The rows of one seed in so many are stated a second time too: that takes as long as the rest of
an audit. The rows of every seed are compared with those that the recorder's own code makes."""

_COLUMNS: Final = {table.name: [column.name for column in table.columns] for table in TABLES}


class _Sound(MemorySnapshots):
    """The snapshots that a restore would take: what is damaged is refused, not audited."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        for snapshot in stage.snapshots.every():
            is_known = snapshot.format_version == stage.folds[snapshot.room].format_version
            if is_known and hash_state(snapshot.state) == snapshot.state_hash:
                self.put(snapshot)


def audit(world: World) -> None:
    """Audit what the world left.

    Raises:
        Finding: something is not as the log says it must be.
    """
    stage = world.stage
    rows = _packed_rows(stage) if world.seed % ROWS_AUDITED_EVERY == 0 else None
    auditor = Auditor(MemoryReader(stage.log), local_schemas(), rows, _Sound(stage))
    auditor.advance()
    first = auditor.findings(drained=True).first
    if first is not None:
        where = f"{first.topic}/{first.partition}@{first.offset} {first.where}".strip()
        stage.fail(
            f"audit: {first.check}", f"{where}: expected {first.expected}, found {first.found}"
        )


def _packed_rows(stage: Stage) -> PackedRows:
    rows = PackedRows(_COLUMNS, ARCHIVE_NUMBERS)
    for table, packed in stage.database.rows.items():
        for row in packed:
            rows.add(table, row)
    rows.positions = {
        (at.topic, at.partition): (0, offset) for at, offset in stage.database.offsets.items()
    }
    return rows
