"""A room's traces, opened if somebody wants them: only then OpenTelemetry is imported."""

from collections.abc import Callable

from services.runtime.errors import ConfigurationError
from services.runtime.settings import RoomSettings
from services.runtime.telemetry import Telemetry
from services.runtime.traces import RoomTraces


def hold_room_traces(
    room: str,
    settings: RoomSettings,
    telemetry: Telemetry,
    at_exit: Callable[[Callable[[], None]], object],
) -> RoomTraces | None:
    """As `open_room_traces`, said in the log, and closed at the exit."""
    traces = open_room_traces(room, settings)
    if traces is not None:
        at_exit(traces.close)
        telemetry.log.info("traces", endpoint=settings.traces_endpoint)
    return traces


def open_room_traces(room: str, settings: RoomSettings) -> RoomTraces | None:
    """A room's traces; None: nobody wants them.

    Raises:
        ConfigurationError: they are wanted, and OpenTelemetry is not installed.
    """
    if settings.traces_endpoint is None:
        return None
    try:
        from services.runtime import spans  # noqa: PLC0415 - heavy, and not everywhere installed
    except ModuleNotFoundError as error:
        raise missing(error) from error
    provider = spans.make_provider(
        room, settings.instance, spans.exporter(settings.traces_endpoint)
    )
    return spans.LoopSpans(room, provider)


def missing(error: ModuleNotFoundError) -> ConfigurationError:
    """What to do where OpenTelemetry is wanted and absent."""
    return ConfigurationError(
        f"OUTCRY_TRACES_ENDPOINT is set and {error.name} is not installed: pip install"
        " 'outcry[tracing]', or unset it"
    )
