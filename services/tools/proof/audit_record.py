"""An audit's result as a row in PostgreSQL, for those who show when the last one was."""

from hashlib import blake2b
from typing import Any, Final

import msgspec
import psycopg

from services.tools.operate.connect import Deployment
from services.tools.proof.audit.auditor import Findings
from services.tools.proof.audit.ledger import Digest
from services.tools.proof.audit_report import headline
from services.wire.topics import BOOK

_CONNECT_TIMEOUT_S: Final = 5
_INSERT: Final = """
INSERT INTO outcry.audits (deployment, holds, records, differences, from_snapshots, digest,
                           next_offsets, first_difference)
VALUES (%(deployment)s, %(holds)s, %(records)s, %(differences)s, %(from_snapshots)s, %(digest)s,
        %(next_offsets)s, %(first_difference)s)
"""


def record_audit(deployment: Deployment, found: Findings, *, from_snapshots: bool) -> str:
    """Keep the result; returns why it could not be kept, empty if it was. Blocks for seconds."""
    row = {"deployment": deployment.name, "from_snapshots": from_snapshots} | to_row(found)
    try:
        with psycopg.connect(deployment.pg_dsn, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.execute(_INSERT, row)
    except psycopg.errors.UndefinedTable:
        return "the database has no table of audits; `outcry up` makes it"
    except psycopg.Error as error:
        return " ".join(str(error).split())[:160]
    return ""


def to_row(found: Findings) -> dict[str, Any]:
    """What is kept of the findings."""
    return {
        "holds": found.holds,
        "records": sum(digest.records for digest in found.digests),
        "differences": len(found.findings),
        "digest": digest_of(found.digests),
        "next_offsets": msgspec.json.encode(_next_offsets(found.digests)).decode(),
        "first_difference": "" if found.first is None else headline(found.first),
    }


def digest_of(digests: tuple[Digest, ...]) -> str:
    """One for all partitions, the same for whoever read the same records."""
    kept = sorted(
        (digest.topic, digest.partition, digest.records, digest.digest)
        for digest in digests
        if digest.topic != BOOK.name
    )
    return blake2b(msgspec.json.encode(kept), digest_size=32).hexdigest()


def _next_offsets(digests: tuple[Digest, ...]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for digest in sorted(digests, key=lambda one: (one.topic, one.partition)):
        found.setdefault(digest.topic, []).append(digest.next_offset)
    return found
