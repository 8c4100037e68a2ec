"""`python -m services.drift`: its process, which starts the jobs' processes."""

import sys
import time
from contextlib import ExitStack

from services.drift.metrics import METRICS
from services.drift.service import Service
from services.drift.settings import DriftSettings
from services.runtime.room import ProcessPacer, run_process, serve_metrics
from services.runtime.telemetry import Telemetry


def main() -> int:
    """Run until SIGTERM or SIGINT; returns the process's exit code, as `run_room` does."""
    return run_process(
        "drift",
        DriftSettings,
        METRICS,
        _work,
        lambda settings: {
            "home": str(settings.home),
            "interval_s": settings.drift_interval_s,
            "retrain": settings.drift_retrain,
            "rollback": settings.drift_rollback,
        },
    )


def _work(
    settings: DriftSettings, telemetry: Telemetry, pacer: ProcessPacer, resources: ExitStack
) -> None:
    serve_metrics(settings, telemetry, resources.callback)
    Service(settings, telemetry, pacer, time.time).run()


if __name__ == "__main__":
    sys.exit(main())
