"""Keeps snapshots of what reports come to, beside the serving, so that the next start is short."""

from threading import Event, Thread
from typing import Final, Protocol

from services.gateway.beginning import NothingRecordedError
from services.gateway.settings import GatewaySettings
from services.runtime.errors import OperatingError
from services.runtime.telemetry import Telemetry

_TIMEOUT_MS: Final = 600_000
"""Longest wait for one answer: nobody waits for it here, and a record that was never asked for may
be long."""
_CLOSE_S: Final = 5.0


class Keepable(Protocol):
    """`recorded_reports.PostgresReports` is one."""

    def keep_snapshots(self, reports_min: int, timeout_ms: int) -> int: ...

    def cancel(self) -> None: ...


class SnapshotKeeper:
    """A thread that keeps snapshots now and then. What fails is tried again at the next time."""

    def __init__(self, reports: Keepable, settings: GatewaySettings, telemetry: Telemetry) -> None:
        self._reports = reports
        self._reports_min = settings.gateway_snapshot_reports
        self._interval_s = settings.snapshot_interval_s
        self._telemetry = telemetry
        self._closing = Event()
        self._thread = Thread(target=self._serve, name="report-snapshots", daemon=True)

    def start(self) -> None:
        """Begin; what was read at the start is kept first."""
        self._thread.start()

    def close(self) -> None:
        """End, also in the middle of a question. Blocks for some seconds at most."""
        self._closing.set()
        if self._thread.is_alive():
            self._reports.cancel()
            self._thread.join(_CLOSE_S)

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._reports.keep_snapshots(self._reports_min, _TIMEOUT_MS)
            except (NothingRecordedError, OperatingError) as error:
                if not self._closing.is_set():
                    self._telemetry.log.warning("snapshots_not_kept", cause=str(error))
            except Exception:  # a shortcut that fails must not end the serving
                self._telemetry.log.exception("snapshots_not_kept")
            self._closing.wait(self._interval_s)
