"""Waiting until nothing moves on the log, so that what is missing then is lost and not late."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from services.runtime.ports import LogReader, TopicPartition
from services.tools.proof.reconcile import Progress, Reconciliation, reconcile
from services.tools.proof.rows import Rows
from services.wire.codec import Codec
from services.wire.topics import TRADING

STILL_S: Final = 1.5
"""The log counts as still when no partition grew for so long."""
_POLL_S: Final = 0.25
_RETRY_PAUSE_S: Final = 3.0

type OpenRows = Callable[[], AbstractContextManager[Rows]]
"""Opens a fresh view of the rows: one that is open sees the database of its beginning."""


def reconcile_when_quiet(
    log: LogReader,
    codec: Codec,
    open_rows: OpenRows,
    timeout_s: float,
    progress: Progress = lambda _topic, _records: None,
) -> Reconciliation:
    """Reconcile once the log is still; what is not whole is looked at again until the time is up.

    A room that is just restarting leaves the log still and work undone, hence the second look.

    Raises:
        RetriableError: Kafka can't be read.
    """
    give_up_at_s = time.monotonic() + timeout_s
    while True:
        wait_until_still(log, give_up_at_s)
        with open_rows() as rows:
            found = reconcile(log, codec, rows, progress)
        if found.is_whole or time.monotonic() + _RETRY_PAUSE_S >= give_up_at_s:
            return found
        time.sleep(_RETRY_PAUSE_S)


def wait_until_still(log: LogReader, give_up_at_s: float) -> bool:
    """Wait until no partition grows; false if the time (monotonic, seconds) was up before."""
    ends = _ends(log)
    still_since_s = time.monotonic()
    while time.monotonic() - still_since_s < STILL_S:
        if time.monotonic() >= give_up_at_s:
            return False
        time.sleep(_POLL_S)
        now = _ends(log)
        if now != ends:
            ends, still_since_s = now, time.monotonic()
    return True


def _ends(log: LogReader) -> list[int]:
    return [
        log.bounds(TopicPartition(topic.name, partition))[1]
        for topic in TRADING
        for partition in range(topic.partitions)
    ]
