"""What Faust, mode and aiokafka log, as lines of the room's own log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.runtime.telemetry import Telemetry

_LOGGERS: Final = ("faust", "mode", "aiokafka", "asyncio")


class _Forward(logging.Handler):
    def __init__(self, telemetry: Telemetry) -> None:
        super().__init__(logging.WARNING)
        self._telemetry = telemetry

    def emit(self, record: logging.LogRecord) -> None:
        # One line each: tracebacks of what ends the process are logged by its main.
        text = " ".join(record.getMessage().split())
        self._telemetry.log.warning(
            "library", logger=record.name, severity=record.levelname, text=text
        )


@contextmanager
def forward_logs(telemetry: Telemetry) -> Iterator[None]:
    """Warnings and worse of the libraries become JSON lines."""
    handler = _Forward(telemetry)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True
