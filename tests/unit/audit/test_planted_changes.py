"""One byte of one record, row or snapshot is changed, and the audit names that very place."""

import random

import pytest
from msgspec.structs import replace

from services.runtime.memory import MemorySnapshots
from services.runtime.ports import Record, Snapshot, TopicPartition
from services.tools.proof.audit.auditor import Auditor, Findings
from services.tools.proof.audit.ledger import Finding
from services.tools.proof.audit.packed_rows import PackedRows
from services.tools.proof.audit.rows import COLUMNS, row_offset
from services.tools.proof.audit.schemas import local_schemas
from services.tools.proof.audit.stops import hash_state
from tests.support.audited_crowd import AuditedCrowd, record_rows
from tests.support.planted import changed_log, changed_rows, flip, other_value

SAMPLES = 5
TABLES_WITH_ROWS = {
    "archive": ("accounts", "controls", "matching"),
    "orders": ("accounts",),
    "cancels": ("accounts",),
    "amendments": ("accounts",),
    "executions": ("executions",),
    "account_states": ("executions",),
    "trades": ("trades",),
}


@pytest.fixture(scope="module")
def crowd() -> AuditedCrowd:
    return AuditedCrowd(seed=3, sent=240)


@pytest.fixture(scope="module")
def rows(crowd: AuditedCrowd) -> PackedRows:
    return record_rows(crowd.exchange)


def audited(crowd: AuditedCrowd, rows: PackedRows | None = None) -> Findings:
    auditor = crowd.auditor(rows)
    auditor.advance()
    return auditor.findings()


def first_of(findings: Findings) -> Finding:
    assert findings.first is not None, "the planted change was not found"
    return findings.first


def place_of(finding: Finding) -> tuple[str, int, int]:
    return finding.topic, finding.partition, finding.offset


def sample(crowd: AuditedCrowd, topic: str, seed: int) -> tuple[TopicPartition, Record]:
    """A record of the topic, but no stranger's."""
    chance = random.Random(f"{topic}{seed}")
    records = [r for r in crowd.exchange.records(topic) if r.value and b"stranger" not in r.value]
    record = chance.choice(records)
    return TopicPartition(topic, record.partition), record


def test_an_untouched_exchange_is_found_whole(crowd: AuditedCrowd, rows: PackedRows) -> None:
    findings = audited(crowd, rows)
    assert findings.findings == ()
    checked = set(findings.checked)
    assert checked >= {f"rows of {table}" for table in COLUMNS}
    assert checked >= {f"messages of {t}" for t in ("accounts", "matching", "executions", "trades")}
    assert checked >= {"messages of orders.dlq", "views of books", "snapshots"}
    bought, sold = (findings.totals[f"accounts shares_{side}"] for side in ("bought", "sold"))
    assert bought == sold == findings.totals["matching shares_traded"] > 0


@pytest.mark.parametrize("seed", range(SAMPLES))
@pytest.mark.parametrize(
    "topic", ["accounts", "matching", "executions", "trades", "book", "orders.dlq", "controls"]
)
def test_a_byte_of_a_record_is_found_at_its_offset(
    crowd: AuditedCrowd, rows: PackedRows, topic: str, seed: int
) -> None:
    place, record = sample(crowd, topic, seed)
    chance = random.Random(seed)
    assert record.value is not None
    other = other_value(record, chance.randrange(len(record.value)), chance.randrange(8))
    with changed_log(crowd.exchange.log, place, record.offset, [other]):
        findings = audited(crowd, rows)
    assert place_of(first_of(findings)) == (topic, record.partition, record.offset)


@pytest.mark.parametrize("seed", range(SAMPLES))
def test_a_byte_of_a_clients_record_is_found_where_it_has_other_consequences(
    crowd: AuditedCrowd, rows: PackedRows, seed: int
) -> None:
    """Nothing keeps `orders` but the topic: what shows is a command that is not what it says."""
    place, record = sample(crowd, "orders", seed)
    chance = random.Random(seed)
    assert record.value is not None
    other = other_value(record, chance.randrange(len(record.value)), chance.randrange(8))
    with changed_log(crowd.exchange.log, place, record.offset, [other]):
        first = first_of(audited(crowd, rows))
    assert f"orders/{record.partition}@{record.offset}" in first.expected
    assert first.topic in ("accounts", "orders.dlq")


@pytest.mark.parametrize(
    "topic", ["accounts", "matching", "executions", "trades", "book", "orders.dlq", "controls"]
)
def test_a_byte_of_a_key_is_found_at_its_offset(
    crowd: AuditedCrowd, rows: PackedRows, topic: str
) -> None:
    place, record = sample(crowd, topic, 1)
    other = replace(record, key=b"x" if record.key is None else flip(record.key, 0))
    with changed_log(crowd.exchange.log, place, record.offset, [other]):
        findings = audited(crowd, rows)
    assert place_of(first_of(findings)) == (topic, record.partition, record.offset)


@pytest.mark.parametrize("topic", ["orders", "controls", "accounts", "matching"])
def test_another_time_of_a_record_is_found(
    crowd: AuditedCrowd, rows: PackedRows, topic: str
) -> None:
    place, record = sample(crowd, topic, 2)
    other = replace(record, timestamp_ms=record.timestamp_ms ^ 1)
    with changed_log(crowd.exchange.log, place, record.offset, [other]):
        first = first_of(audited(crowd, rows))
    named = place_of(first) == (topic, record.partition, record.offset)
    assert named or f"{topic}/{record.partition}@{record.offset}" in first.expected


# --- rows


def row_findings(crowd: AuditedCrowd, rows: PackedRows, place: tuple[str, int]) -> list[Finding]:
    """What the rows of one partition's records come to, without the rest of an audit."""
    only = {place, ("book", place[1]), ("controls", 0)}
    auditor = Auditor(crowd.exchange.reader, local_schemas(), rows, only=only)
    auditor.advance()
    return [finding for finding in auditor.ledger.findings if finding.check == "rows"]


EVERY_COLUMN = [
    (table, topic, column.name)
    for table, topics in TABLES_WITH_ROWS.items()
    for topic in topics
    for column in COLUMNS[table]
]


@pytest.mark.parametrize("table,topic,name", EVERY_COLUMN)
def test_a_byte_of_a_row_is_found_in_every_column(
    crowd: AuditedCrowd, rows: PackedRows, table: str, topic: str, name: str
) -> None:
    chance = random.Random(f"{table}{topic}{name}")
    place = chance.choice([p for p in rows.places() if p[:2] == (table, topic)])
    row = chance.choice(list(rows.packed(*place, 0, 2**62)))
    other = flip_column(table, row, name, chance)
    with changed_rows(rows, place, row, other):
        found = row_findings(crowd, rows, place[1:])
    named = [place_of(finding) for finding in found if finding.where == f"table {table}"]
    due, here = row_offset(table, row), row_offset(table, other)
    assert named[0] == (*place[1:], min(due, here))
    assert not row_findings(crowd, rows, place[1:])


def flip_column(table: str, row: bytes, name: str, chance: random.Random) -> bytes:
    """One byte of one column changed; a NULL becomes something, an empty text a letter."""
    at = 2
    for column in COLUMNS[table]:
        length = int.from_bytes(row[at : at + 4], signed=True)
        if column.name == name:
            if length <= 0:
                value = bytes(8) if column.kind in ("bigint", "timestamptz") else b"x"
                return row[:at] + len(value).to_bytes(4) + value + row[at + 4 + max(0, length) :]
            if column.kind == "jsonb":  # one more element, so that it stays JSON
                value = row[at + 4 : at + 3 + length].removesuffix(b"]")
                value += b"0]" if value.endswith(b"[") else b", 0]"
                return row[:at] + len(value).to_bytes(4) + value + row[at + 4 + length :]
            return flip(row, at + 4 + chance.randrange(length), 0)
        at += 4 + max(0, length)
    raise LookupError(name)


def some_place(rows: PackedRows, table: str) -> tuple[str, str, int]:
    return next(place for place in rows.places() if place[0] == table)


@pytest.mark.parametrize("table", TABLES_WITH_ROWS)
def test_a_row_that_is_gone_is_found(crowd: AuditedCrowd, rows: PackedRows, table: str) -> None:
    place = some_place(rows, table)
    row = list(rows.packed(*place, 0, 2**62))[-1]
    with changed_rows(rows, place, row, None):
        found = row_findings(crowd, rows, place[1:])
    at = row_offset(table, row)
    assert [(*place_of(f), f.found) for f in found] == [(*place[1:], at, "none")]


@pytest.mark.parametrize("beyond", [False, True])
def test_a_row_of_no_record_is_found(
    crowd: AuditedCrowd, rows: PackedRows, *, beyond: bool
) -> None:
    """Where a transaction's marker is, or beyond what is recorded."""
    place = some_place(rows, "trades")
    kept, end = rows._kept[place], rows.positions[place[1:]][1]
    at = end + 7 if beyond else next(o for o in range(1, end) if o not in kept)
    row = kept[max(kept)]
    old = b"\0\0\0\x08" + row_offset("trades", row).to_bytes(8)
    moved = row.replace(old, b"\0\0\0\x08" + at.to_bytes(8), 1)
    with changed_rows(rows, place, None, moved):
        found = row_findings(crowd, rows, place[1:])
    assert [(f.offset, f.expected) for f in found] == [(at, "no row")]


def test_a_row_of_a_partition_that_is_none_is_found(crowd: AuditedCrowd, rows: PackedRows) -> None:
    row = next(rows.packed(*some_place(rows, "trades"), 0, 2**62))
    with changed_rows(rows, ("trades", "trades", 9), None, row):
        found = row_findings(crowd, rows, ("trades", 0))
    assert [place_of(f) for f in found] == [("trades", 9, row_offset("trades", row))]


# --- snapshots


def snapshot_faults(crowd: AuditedCrowd, others: dict[Snapshot, Snapshot]) -> list[Finding]:
    """Audit with other snapshots in the place of some."""
    kept = MemorySnapshots()
    for snapshot in all_snapshots(crowd):
        kept.put(others.get(snapshot, snapshot))
    folds = {(topic, p) for topic in ("book", "accounts", "matching") for p in range(5)}
    auditor = Auditor(crowd.exchange.reader, local_schemas(), snapshots=kept, only=folds)
    auditor.advance()
    auditor.close_books(drained=True)
    return [finding for finding in auditor.ledger.findings if finding.check == "snapshots"]


def all_snapshots(crowd: AuditedCrowd) -> list[Snapshot]:
    return [s for place in crowd.snapshots._kept.values() for s in place.values()]


def snapshot_place(snapshot: Snapshot) -> tuple[str, int, int]:
    return snapshot.topic, snapshot.partition, snapshot.offset


@pytest.mark.parametrize("rehashed", [False, True])
def test_a_byte_of_every_snapshot_is_found(crowd: AuditedCrowd, *, rehashed: bool) -> None:
    """Also where its hash is made right again."""
    others = {}
    for turn, kept in enumerate(all_snapshots(crowd)):
        state = flip(kept.state, random.Random(turn).randrange(len(kept.state)), turn % 8)
        state_hash = hash_state(state) if rehashed else kept.state_hash
        others[kept] = replace(kept, state=state, state_hash=state_hash)
    assert len(others) >= 27
    found = [place_of(finding) for finding in snapshot_faults(crowd, others)]
    assert sorted(found) == sorted(map(snapshot_place, others))


@pytest.mark.parametrize("field", ["topic_id", "genesis_hash", "state_hash", "format_version"])
@pytest.mark.parametrize("room", ["risk", "matcher"])
def test_a_byte_of_a_snapshots_envelope_is_found(
    crowd: AuditedCrowd, room: str, field: str
) -> None:
    kept = next(s for s in all_snapshots(crowd) if s.room == room)
    value = getattr(kept, field)
    changed = value ^ 2 if isinstance(value, int) else flip(value.encode(), 0, 0).decode()
    found = snapshot_faults(crowd, {kept: replace(kept, **{field: changed})})
    assert [place_of(f) for f in found] == [snapshot_place(kept)]


@pytest.mark.parametrize("moved", [-30, 10**6])
def test_a_snapshot_at_another_offset_is_found(crowd: AuditedCrowd, moved: int) -> None:
    """Also one that is ahead of the log."""
    kept = max(all_snapshots(crowd), key=lambda snapshot: snapshot.offset)
    other = replace(kept, offset=kept.offset + moved)
    assert [place_of(f) for f in snapshot_faults(crowd, {kept: other})] == [snapshot_place(other)]
