"""Writing snapshots beside the loop: a thread with room for one waiting snapshot a partition."""

import time
from threading import Condition, Thread
from typing import Final

from services.runtime.errors import ConfigurationError, RetriableError
from services.runtime.ports import Snapshot, Snapshots
from services.runtime.telemetry import (
    SNAPSHOT_BYTES,
    SNAPSHOT_TIME,
    SNAPSHOTS_LOST,
    Telemetry,
)

SUPERSEDED: Final = "superseded"
STORE_AWAY: Final = "store_away"


class BackgroundSnapshots:
    """Puts what it is offered into a store, from a thread of its own; the newest replaces.

    A store that is away loses snapshots, never the loop's time: a later one serves as well.
    """

    def __init__(self, store: Snapshots, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry
        self._waiting: dict[tuple[str, int], Snapshot] = {}
        self._writing = False
        self._closing = False
        self._changed = Condition()
        for cause in (SUPERSEDED, STORE_AWAY):
            telemetry.count(SNAPSHOTS_LOST, 0, cause=cause)
        self._thread = Thread(target=self._write_all, name="snapshots", daemon=True)
        self._thread.start()

    def offer(self, snapshot: Snapshot) -> None:
        """Take a snapshot to be written soon. Never blocks."""
        place = (snapshot.topic, snapshot.partition)
        with self._changed:
            if self._waiting.pop(place, None) is not None:
                self._telemetry.count(SNAPSHOTS_LOST, cause=SUPERSEDED)
            self._waiting[place] = snapshot
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing waits to be written; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._writing, timeout_s
            )

    def close(self, timeout_s: float) -> None:
        """Write what waits, as far as the time allows, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def _write_all(self) -> None:
        while (snapshot := self._next()) is not None:
            self._write(snapshot)
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    def _next(self) -> Snapshot | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            self._writing = True
            return self._waiting.pop(next(iter(self._waiting)))

    def _write(self, snapshot: Snapshot) -> None:
        place = {"topic": snapshot.topic, "partition": str(snapshot.partition)}
        try:
            self._store.put(snapshot)
        except (RetriableError, ConfigurationError) as error:
            self._telemetry.count(SNAPSHOTS_LOST, cause=STORE_AWAY)
            self._telemetry.log.warning(
                "snapshot_lost", **place, offset=snapshot.offset, error=str(error)
            )
            return
        self._telemetry.set(SNAPSHOT_TIME, time.time(), **place)
        self._telemetry.set(SNAPSHOT_BYTES, len(snapshot.state), **place)
        self._telemetry.log.debug(
            "snapshot_stored", **place, offset=snapshot.offset, state_bytes=len(snapshot.state)
        )
