"""`python -m services.recorder`: the recorder's process, wired to Kafka and PostgreSQL."""

import sys
from contextlib import ExitStack
from typing import Final

from services.recorder.core import RECORDED
from services.recorder.metrics import METRICS
from services.recorder.postgres import PostgresLedger
from services.recorder.service import Recorder
from services.recorder.settings import RecorderSettings
from services.runtime.cluster import require_same_cluster
from services.runtime.kafka import KafkaConnection
from services.runtime.registry import load_codec
from services.runtime.room import (
    ProcessPacer,
    connect,
    run_process,
    serve_metrics,
)
from services.runtime.snapshots import PostgresSnapshots
from services.runtime.telemetry import Telemetry
from services.runtime.topic_tail import TopicTail

_ACCEPT_THE_LOSS: Final = (
    "Use another database; or, if the loss is accepted, set first_offset and next_offset in"
    " outcry.recorder_offsets to where the log begins"
)


def main() -> int:
    """Record until SIGTERM or SIGINT; returns the process's exit code, as `run_room` does."""
    return run_process(
        "recorder",
        RecorderSettings,
        METRICS,
        _work,
        lambda settings: {"deployment": settings.deployment},
    )


def _work(
    settings: RecorderSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> None:
    _assemble(settings, telemetry, pacer, resources).run()


def _assemble(
    settings: RecorderSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> Recorder:
    serve_metrics(settings, telemetry, resources.callback)
    connection = connect(settings, telemetry)
    dsn = settings.pg_dsn.get_secret_value()
    return Recorder(
        settings,
        telemetry,
        pacer,
        load_codec=lambda: load_codec(settings.registry_url),
        open_ledger=lambda: PostgresLedger(dsn, settings.deployment, settings.session_timeout_s),
        open_tail=lambda: _open_tail(settings, connection),
    )


def _open_tail(settings: RecorderSettings, connection: KafkaConnection) -> TopicTail:
    """Called with the database at hand, so that the cluster can be held against it first."""
    store = PostgresSnapshots(
        settings.pg_dsn.get_secret_value(), settings.deployment, settings.snapshots_kept
    )
    require_same_cluster(settings.kafka_bootstrap, store, settings.deployment)
    return TopicTail(connection, RECORDED, "recorder", _ACCEPT_THE_LOSS)


if __name__ == "__main__":
    sys.exit(main())
