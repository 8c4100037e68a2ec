"""Made-up reports in PostgreSQL, as the recorder writes them."""

from services.recorder.core import RowMaker
from services.recorder.postgres import Move, PostgresLedger
from services.runtime.ports import Record
from services.wire.topics import EXECUTIONS
from tests.support.gateway_memory import CODEC
from tests.support.report_flow import Reported


def record(dsn: str, deployment: str, topic_id: str, said: list[Reported]) -> None:
    """Have the recorder's own code record these."""
    ledger = PostgresLedger(dsn, deployment, 30)
    try:
        ledger.remember_topic(EXECUTIONS.name, topic_id)
        before = ledger.offsets({EXECUTIONS.name: EXECUTIONS.partitions})
        moves = {}
        for at, next_offset in before.items():
            offsets = [one.offset for one in said if one.partition == at.partition]
            moves[at] = Move(next_offset, max([next_offset, *[offset + 1 for offset in offsets]]))
        records = [
            Record(EXECUTIONS.name, one.partition, one.offset, 1_790_000_000_000, None, one.value)
            for one in said
        ]
        ledger.append(RowMaker(CODEC, ledger.deployment_id()).rows(records), moves)
    finally:
        ledger.close()
