"""The verdict after a fault: everything quiet, every promise kept, the audit clean.

Three judges who share no code with the rooms' folds, and none of what they judge by with each
other: the evidence (what clients were told), the audit, which derives everything a second time and
goes on where it stopped, and at the end of a run the reconciliation, which counts.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import psycopg

from services.runtime.kafka_reader import KafkaReader
from services.runtime.snapshots import PostgresSnapshots
from services.tools.operate.connect import Deployment
from services.tools.proof.audit.auditor import Auditor, Findings
from services.tools.proof.audit.ledger import Finding
from services.tools.proof.audit.postgres_rows import PostgresRows
from services.tools.proof.audit.schemas import Schemas
from services.tools.proof.audit_run import Options, audit_deployment, read_schemas
from services.tools.proof.chaos.acks import AckReader
from services.tools.proof.chaos.evidence import Evidence
from services.tools.proof.chaos.site import Site
from services.tools.proof.ledger import EXAMPLES_MAX, Check
from services.tools.proof.quiet import reconcile_when_quiet, wait_until_still
from services.tools.proof.rows import PostgresRows as OffsetRows
from services.tools.proof.rows import Rows

QUIET_TIMEOUT_S: Final = 180.0
_PENDING: Final = ("messages on their way", "records not yet recorded in PostgreSQL")
_PAUSE_S: Final = 1.0
_SNAPSHOTS_KEPT: Final = 1_000_000
"""The judge only reads; this never removes one."""


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
        self._resources = ExitStack()
        self._log = KafkaReader(site.connection)
        self._resources.callback(self._log.close)
        self._acks = AckReader(acks)
        self._evidence = Evidence(self._log, site.codec)
        addresses = site.addresses
        self._deployment = Deployment(
            addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, site.prefix
        )
        self._rows = _FreshRows(addresses.pg_dsn, self._deployment.name)
        self._resources.callback(self._rows.close)
        snapshots = PostgresSnapshots(addresses.pg_dsn, self._deployment.name, _SNAPSHOTS_KEPT)
        schemas = Schemas(read_schemas(self._deployment))
        self._auditor = Auditor(self._log, schemas, self._rows, snapshots)

    def judge(self) -> Verdict:
        """Wait for quiet, then look at what is new. Clients must be paused, everything up; blocks.

        Raises:
            RetriableError: Kafka or PostgreSQL can't be read.
        """
        started_s = time.monotonic()
        audited = self._audit_when_quiet(started_s + QUIET_TIMEOUT_S)
        self._evidence.advance(self._acks.fresh())
        checks = [msgspec.structs.replace(check) for check in self._evidence.checks]
        checks.append(_as_check(audited))
        figures = {
            "committed records": self._evidence.records,
            "trades": self._evidence.trades,
            "orders open": audited.totals.get("accounts orders_open", 0),
        }
        return Verdict(tuple(checks), figures, time.monotonic() - started_s)

    def judge_all(self) -> Verdict:
        """Everything from the beginning, once more: `outcry audit` and `outcry reconcile`."""
        started_s = time.monotonic()
        audited = audit_deployment(self._deployment, Options(timeout_s=QUIET_TIMEOUT_S))
        check = _as_check(audited)
        check.name = "whole audit"
        counted = reconcile_when_quiet(
            self._log, self._site.codec, self._open_rows, QUIET_TIMEOUT_S
        )
        return Verdict(
            (check, *counted.checks), dict(counted.figures), time.monotonic() - started_s
        )

    def _audit_when_quiet(self, give_up_at_s: float) -> Findings:
        """A room that is just restarting leaves the log still and work undone: look again."""
        while True:
            wait_until_still(self._log, give_up_at_s)
            self._auditor.advance()
            found = self._auditor.findings(drained=False)
            pending = any(found.notes.get(name) for name in _PENDING)
            if not pending or not found.holds or time.monotonic() > give_up_at_s:
                return self._auditor.findings(drained=True)
            time.sleep(_PAUSE_S)

    @contextmanager
    def _open_rows(self) -> Iterator[Rows]:
        with psycopg.connect(self._site.addresses.pg_dsn) as database:
            yield OffsetRows(database, self._deployment.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()


class _FreshRows:
    """`audit.rows.RowSource` over a server that is killed between two looks."""

    def __init__(self, dsn: str, deployment: str) -> None:
        self._dsn = dsn
        self._deployment = deployment
        self._rows = PostgresRows(dsn, deployment)

    def refresh(self) -> None:
        """Connect anew."""
        self._rows.close()
        self._rows = PostgresRows(self._dsn, self._deployment)

    def recorded(self, topic: str, partition: int) -> tuple[int, int] | None:
        return self._rows.recorded(topic, partition)

    def packed(
        self, table: str, topic: str, partition: int, start: int, end: int
    ) -> Iterator[bytes]:
        return self._rows.packed(table, topic, partition, start, end)

    def strays(self) -> Iterator[tuple[str, str, int, int]]:
        return self._rows.strays()

    def close(self) -> None:
        self._rows.close()


def _as_check(found: Findings) -> Check:
    check = Check("audit", sum(found.checked.values()), len(found.findings))
    check.examples = [_spell(finding) for finding in found.findings[:EXAMPLES_MAX]]
    return check


def _spell(finding: Finding) -> str:
    place = f"{finding.topic}-{finding.partition}@{finding.offset}"
    return f"{place} {finding.check}: expected {finding.expected}, found {finding.found}"[:400]
