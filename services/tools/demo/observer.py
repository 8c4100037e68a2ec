"""Watches the exchange from outside, as any reader of its topics could, and keeps the figures."""

import threading
import time
from typing import Final

import psycopg

from services.runtime.errors import OperatingError
from services.runtime.ports import LogReader, TopicPartition
from services.tools.demo.figures import WATCHED, Figures
from services.tools.operate.connect import Deployment
from services.tools.operate.errors import OperateError, UnreachableError
from services.tools.operate.exchange import Exchange
from services.wire.topics import EXECUTIONS, ORDERS

_POLL_S: Final = 0.2
_ASK_INTERVAL_S: Final = 1.0
"""Between two looks at how far `orders` and the recorder are."""


class Observer:
    """Reads in a thread of its own, from the moment it is made; `lock` guards the figures."""

    def __init__(self, exchange: Exchange, log: LogReader, deployment: Deployment) -> None:
        self.figures = Figures()
        self.lock = threading.Lock()
        self.failure: OperateError | OperatingError | None = None
        """What ended the reading, if anything did."""
        self._log = log
        self._deployment = deployment
        self._watch = exchange.watch(
            [
                TopicPartition(topic.name, partition)
                for topic in WATCHED
                for partition in range(topic.partitions)
            ]
        )
        self._orders_before = self._orders_end()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading. May block for a second."""
        self._stop.set()
        self._thread.join()
        self._watch.close()

    def _run(self) -> None:
        try:
            with psycopg.connect(self._deployment.pg_dsn, autocommit=True) as database:
                ask_at_s = 0.0
                while not self._stop.is_set():
                    self._take()
                    if time.monotonic() >= ask_at_s:
                        ask_at_s = time.monotonic() + _ASK_INTERVAL_S
                        self._ask(database)
        except (OperateError, OperatingError) as error:
            self.failure = error
        except psycopg.Error as error:
            self.failure = UnreachableError(
                f"PostgreSQL went away ({' '.join(str(error).split())})"
            )

    def _take(self) -> None:
        seen = self._watch.poll(_POLL_S)
        now_us = time.time_ns() // 1_000
        with self.lock:
            for record in seen:
                self.figures.take(record, now_us)

    def _ask(self, database: psycopg.Connection) -> None:
        rows = database.execute(
            "SELECT topic, partition, next_offset FROM outcry.recorder_offsets"
            " WHERE deployment = %s AND topic = %s",
            (self._deployment.name, EXECUTIONS.name),
        ).fetchall()
        records = self._orders_end() - self._orders_before
        with self.lock:
            self.figures.note_orders(records)
            self.figures.note_recorded({TopicPartition(t, p): offset for t, p, offset in rows})

    def _orders_end(self) -> int:
        """Clients write without transactions, so offsets count records."""
        return sum(
            self._log.bounds(TopicPartition(ORDERS.name, partition))[1]
            for partition in range(ORDERS.partitions)
        )
