"""`python -m services.features`: the feature room's process, wired to Kafka through Faust."""

import sys
import time
from contextlib import ExitStack

from services.features.app import FeaturesProcess
from services.features.logs import forward_logs
from services.features.metrics import METRICS
from services.features.restore import Restorer
from services.features.service import FeatureRoom
from services.features.settings import FeaturesSettings
from services.runtime.cluster import hold_own_cluster
from services.runtime.errors import ConfigurationError, OperatingError
from services.runtime.kafka_admin import check_topics
from services.runtime.kafka_reader import KafkaReader
from services.runtime.log_lines import configure_logging
from services.runtime.registry import load_codec
from services.runtime.restore import RestoreInterruptedError
from services.runtime.room import (
    EXIT_ENVIRONMENT,
    EXIT_FATAL,
    EXIT_OK,
    ProcessPacer,
    connect,
    persist,
    refuse_optimised,
    serve_metrics,
)
from services.runtime.settings import read_settings
from services.runtime.snapshots import open_postgres
from services.runtime.telemetry import Telemetry
from services.runtime.tracing import hold_room_traces
from services.wire.topics import FEATURES, TRADES


def main() -> int:
    """Run until SIGTERM or SIGINT; returns the process's exit code, as `run_room` does."""
    try:
        refuse_optimised()
        settings = read_settings(FeaturesSettings)
    except ConfigurationError as error:
        sys.stderr.write(f"features: {error}\n")
        return EXIT_ENVIRONMENT
    configure_logging(settings.log_level)
    telemetry = Telemetry("features", settings.instance, METRICS)
    pacer = ProcessPacer()
    pacer.install()
    telemetry.log.info("starting", sets=settings.features_sets)
    try:
        with ExitStack() as resources:
            _run(settings, telemetry, pacer, resources)
    except RestoreInterruptedError:
        telemetry.log.info("stopped_before_ready")
        return EXIT_OK
    except OperatingError as error:
        telemetry.log.critical("failed", error=str(error), kind=type(error).__name__)
        return EXIT_FATAL
    except Exception:
        telemetry.log.exception("crashed")
        return EXIT_FATAL
    telemetry.log.info("stopped")
    return EXIT_OK


def _run(
    settings: FeaturesSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> None:
    serve_metrics(settings, telemetry, resources.callback)
    bootstrap, prefix = settings.kafka_bootstrap, settings.topic_prefix
    store = open_postgres(settings)
    if store is not None:
        persist(telemetry, pacer, lambda: hold_own_cluster(settings, store, telemetry))
    codec = persist(telemetry, pacer, lambda: load_codec(settings.registry_url, 0.0))
    persist(telemetry, pacer, lambda: check_topics(bootstrap, prefix, (TRADES, FEATURES)))
    connection = connect(settings, telemetry)
    reader = KafkaReader(connection)
    resources.callback(reader.close)
    resources.enter_context(forward_logs(telemetry))
    traces = hold_room_traces("features", settings, telemetry, resources.callback)
    FeaturesProcess(
        settings,
        lambda write: FeatureRoom(codec, write, telemetry, time.time, traces),
        Restorer(reader, codec, settings.live_sets()),
        telemetry,
        pacer.stopping,
    ).run()


if __name__ == "__main__":
    sys.exit(main())
