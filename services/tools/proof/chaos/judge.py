"""The verdict after a fault: everything quiet, every promise kept, every record accounted for."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import msgspec
import psycopg

from services.runtime.kafka_reader import KafkaReader
from services.tools.proof.chaos.acks import AckReader
from services.tools.proof.chaos.evidence import Evidence
from services.tools.proof.chaos.site import Site
from services.tools.proof.ledger import Check
from services.tools.proof.quiet import reconcile_when_quiet
from services.tools.proof.rows import PostgresRows, Rows

QUIET_TIMEOUT_S: Final = 120.0


class Verdict(msgspec.Struct, frozen=True):
    """What was looked at so far, and what is wrong."""

    checks: tuple[Check, ...]
    figures: dict[str, int]
    took_s: float

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.holds for check in self.checks)

    @property
    def faults(self) -> Sequence[str]:
        """What is wrong, as far as it is spelled out."""
        return [
            f"{check.name}: {example} ({check.faults} of {check.counted})"
            for check in self.checks
            for example in check.examples
        ]


class Judge:
    """Reads the log of a site. Use it in a `with`."""

    def __init__(self, site: Site, acks: Path) -> None:
        self._site = site
        self._log = KafkaReader(site.connection)
        self._acks = AckReader(acks)
        self._evidence = Evidence(self._log, site.codec)

    def judge(self) -> Verdict:
        """Wait for quiet, then look. Clients must be paused and everything up; blocks.

        Raises:
            RetriableError: Kafka can't be read.
        """
        started_s = time.monotonic()
        found = reconcile_when_quiet(self._log, self._site.codec, self._open_rows, QUIET_TIMEOUT_S)
        self._evidence.advance(self._acks.fresh())
        figures = dict(found.figures) | {"committed records read": self._evidence.records}
        checks = tuple(msgspec.structs.replace(check) for check in self._evidence.checks)
        return Verdict((*checks, *found.checks), figures, time.monotonic() - started_s)

    @contextmanager
    def _open_rows(self) -> Iterator[Rows]:
        with psycopg.connect(self._site.addresses.pg_dsn) as database:
            yield PostgresRows(database, self._site.prefix or "default")

    def close(self) -> None:
        """Give up the connection."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
