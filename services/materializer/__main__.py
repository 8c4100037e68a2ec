"""`python -m services.materializer`: its process, wired to Kafka, the lake and the online store."""

import sys
from contextlib import ExitStack
from typing import Final

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.materializer.core import KnownSet
from services.materializer.metrics import METRICS
from services.materializer.service import Materializer
from services.materializer.settings import MaterializerSettings
from services.online.features import OnlineFeatures
from services.runtime.registry import load_codec
from services.runtime.room import (
    ProcessPacer,
    connect,
    persist,
    run_process,
    serve_metrics,
)
from services.runtime.telemetry import Telemetry
from services.runtime.topic_tail import TopicTail
from services.wire.topics import FEATURES

_ACCEPT_THE_LOSS: Final = (
    "`outcry features backfill` computes rows again from trades; to go on from where the log"
    " begins, correct the offset in lake/features/positions.json"
)


def main() -> int:
    """Run until SIGTERM or SIGINT; returns the process's exit code, as `run_room` does."""
    return run_process(
        "materializer",
        MaterializerSettings,
        METRICS,
        _work,
        lambda settings: {"home": str(settings.home)},
    )


def _work(
    settings: MaterializerSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> None:
    _assemble(settings, telemetry, pacer, resources).run()


def _assemble(
    settings: MaterializerSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> Materializer:
    serve_metrics(settings, telemetry, resources.callback)
    connection = connect(settings, telemetry)
    return Materializer(
        settings,
        telemetry,
        pacer,
        codec=persist(telemetry, pacer, lambda: load_codec(settings.registry_url, 0.0)),
        sets={name: KnownSet(found, fingerprint(found)) for name, found in SETS.items()},
        open_tail=lambda: TopicTail(connection, (FEATURES,), "materializer", _ACCEPT_THE_LOSS),
        online=OnlineFeatures(settings.home, settings.online_url),
    )


if __name__ == "__main__":
    sys.exit(main())
