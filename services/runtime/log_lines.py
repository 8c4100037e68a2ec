"""How a process logs: JSON lines, on a terminal text, without secrets. Rooms and the supervisor."""

import logging
import sys

import orjson
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from services.runtime.redaction import redact

type Log = FilteringBoundLogger


def configure_logging(level: str) -> None:
    """Log to standard output, for a process that is ours alone: JSON lines, or for a terminal text.

    What libraries say through `logging`, warnings and worse, goes the same way. Fields bound with
    `structlog.contextvars` stand in every line of their task. Call once, before the first
    Telemetry, or logger, is made.
    """
    is_terminal = sys.stdout.isatty()
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [
        structlog.processors.format_exc_info,
        redact,
        structlog.dev.ConsoleRenderer()
        if is_terminal
        else structlog.processors.JSONRenderer(serializer=_to_json),
    ]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout)
        if is_terminal
        else structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *first],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *last[:-1],
                structlog.dev.ConsoleRenderer()
                if is_terminal
                else structlog.processors.JSONRenderer(serializer=_to_json_text),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def _to_json(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _to_json_text(event: object, **_: object) -> str:
    return _to_json(event).decode()
