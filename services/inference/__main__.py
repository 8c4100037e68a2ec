"""`python -m services.inference`: its process, wired to Kafka, Feast and the model registry."""

import sys
from contextlib import ExitStack

from services.door.serving import run_loop
from services.inference.check_client import CheckedRegistry
from services.inference.metrics import METRICS
from services.inference.service import Service
from services.inference.settings import InferenceSettings
from services.models.classes import model_name
from services.online.features import OnlineFeatures
from services.runtime.kafka_admin import check_topics
from services.runtime.registry import load_codec
from services.runtime.room import (
    ProcessPacer,
    connect,
    persist,
    run_process,
    serve_metrics,
)
from services.runtime.telemetry import Telemetry
from services.wire.topics import FEATURES, PREDICTIONS


def main() -> int:
    """Run until SIGTERM or SIGINT; returns the process's exit code, as `run_room` does."""
    return run_process(
        "inference",
        InferenceSettings,
        METRICS,
        _work,
        lambda settings: {"home": str(settings.home), "stream": settings.inference_stream},
    )


def _work(
    settings: InferenceSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> None:
    run_loop(_assemble(settings, telemetry, pacer, resources).run())


def _assemble(
    settings: InferenceSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> Service:
    serve_metrics(settings, telemetry, resources.callback)
    topics = (FEATURES, PREDICTIONS)
    bootstrap, prefix = settings.kafka_bootstrap, settings.topic_prefix
    persist(telemetry, pacer, lambda: check_topics(bootstrap, prefix, topics))
    name = model_name(settings.inference_horizon_s)
    return Service(
        settings,
        telemetry,
        pacer,
        codec=persist(telemetry, pacer, lambda: load_codec(settings.registry_url, 0.0)),
        connection=connect(settings, telemetry),
        source=CheckedRegistry(
            settings.home,
            settings.mlflow_url,
            name,
            telemetry,
            check_ms_max=settings.inference_check_timeout_ms,
        ),
        open_features=OnlineFeatures(settings.home, settings.online_url).reader,
    )


if __name__ == "__main__":
    sys.exit(main())
