"""`python -m services.recorder`: the recorder's process, wired to Kafka and PostgreSQL."""

import sys
from contextlib import ExitStack
from typing import Final

from services.recorder.core import RECORDED
from services.recorder.postgres import PostgresLedger
from services.recorder.service import METRICS, Recorder
from services.recorder.settings import RecorderSettings
from services.runtime.cluster import require_same_cluster
from services.runtime.errors import ConfigurationError, OperatingError
from services.runtime.kafka import KafkaConnection
from services.runtime.registry import load_codec
from services.runtime.room import (
    EXIT_ENVIRONMENT,
    EXIT_FATAL,
    EXIT_OK,
    ProcessPacer,
    connect,
    refuse_optimised,
    serve_metrics,
)
from services.runtime.settings import read_settings
from services.runtime.snapshots import PostgresSnapshots
from services.runtime.telemetry import Telemetry, configure_logging
from services.runtime.topic_tail import TopicTail

_ACCEPT_THE_LOSS: Final = (
    "Use another database; or, if the loss is accepted, set first_offset and next_offset in"
    " outcry.recorder_offsets to where the log begins"
)


def main() -> int:
    """Record until SIGTERM or SIGINT; returns the process's exit code, as `run_room` does."""
    try:
        refuse_optimised()
        settings = read_settings(RecorderSettings)
    except ConfigurationError as error:
        sys.stderr.write(f"recorder: {error}\n")
        return EXIT_ENVIRONMENT
    configure_logging(settings.log_level)
    telemetry = Telemetry("recorder", settings.instance, METRICS)
    pacer = ProcessPacer()
    pacer.install()
    telemetry.log.info("starting", deployment=settings.deployment)
    try:
        with ExitStack() as resources:
            _assemble(settings, telemetry, pacer, resources).run()
    except OperatingError as error:
        telemetry.log.critical("failed", error=str(error), kind=type(error).__name__)
        return EXIT_FATAL
    except AssertionError:
        telemetry.log.exception("invariant_broken")
        raise
    telemetry.log.info("stopped")
    return EXIT_OK


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
