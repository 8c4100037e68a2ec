"""A log that misses, repeats or swaps something is found out, at the place where it does."""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from msgspec.structs import replace

from services.runtime.memory import MemoryReader
from services.runtime.ports import Outgoing, Record, TopicPartition
from services.tools.proof.audit.auditor import _EQUAL_TOTALS, Auditor, Findings, judge
from services.tools.proof.audit.ledger import FINDINGS_MAX, Finding, Ledger
from services.tools.proof.audit.schemas import local_schemas
from tests.support.audited_crowd import AuditedCrowd, record_rows
from tests.support.planted import changed_log, flip, other_value

DERIVED = ["accounts", "matching", "executions", "trades", "orders.dlq"]


@pytest.fixture(scope="module")
def crowd() -> AuditedCrowd:
    return AuditedCrowd(seed=5, sent=240)


def audited(crowd: AuditedCrowd) -> Findings:
    """Without rows, which would show it too."""
    auditor = Auditor(crowd.exchange.reader, local_schemas(), snapshots=crowd.snapshots)
    auditor.advance()
    return auditor.findings()


def two_of_one_flow(crowd: AuditedCrowd, topic: str) -> tuple[Record, Record]:
    """Two messages, one right after the other, with one source."""
    decode = local_schemas().decode
    found = []
    for earlier, later in pairwise(crowd.exchange.records(topic)):
        both = decode(topic, earlier.value), decode(topic, later.value)
        if both[0] is None or both[1] is None or earlier.partition != later.partition:
            continue
        origins = [message.fields["origin"] for message in both if message is not None]
        if origins[0]["topic"] == origins[1]["topic"] and (
            origins[0]["partition"] == origins[1]["partition"]
            and later.offset == earlier.offset + 1
        ):
            found.append((earlier, later))
    return random.Random(topic).choice(found)


def place_of(findings: Findings) -> tuple[str, int, int]:
    assert findings.first is not None, "it was not found"
    return findings.first.topic, findings.first.partition, findings.first.offset


@pytest.mark.parametrize("topic", [topic for topic in DERIVED if topic != "orders.dlq"])
def test_a_record_that_is_gone_is_missed_before_the_next_of_its_source(
    crowd: AuditedCrowd, topic: str
) -> None:
    gone, following = two_of_one_flow(crowd, topic)
    place = TopicPartition(topic, gone.partition)
    with changed_log(crowd.exchange.log, place, gone.offset, [None]):
        findings = audited(crowd)
    assert findings.first is not None
    assert findings.first.check == "messages missing"
    assert place_of(findings) == (topic, gone.partition, following.offset)


@pytest.mark.parametrize("topic", [topic for topic in DERIVED if topic != "orders.dlq"])
def test_a_record_that_came_twice_is_found_at_the_second(crowd: AuditedCrowd, topic: str) -> None:
    first, second = two_of_one_flow(crowd, topic)
    place = TopicPartition(topic, first.partition)
    records = [entry.record for entry in crowd.exchange.log._entries(place)]
    records.insert(second.offset, first)
    with changed_log(crowd.exchange.log, place, 0, records):
        findings = audited(crowd)
    named = [(f.topic, f.partition, f.offset, f.check) for f in findings.findings]
    assert (topic, first.partition, second.offset, "messages extra") in named


@pytest.mark.parametrize("topic", [topic for topic in DERIVED if topic != "orders.dlq"])
def test_two_records_that_changed_places_are_found(crowd: AuditedCrowd, topic: str) -> None:
    first, second = two_of_one_flow(crowd, topic)
    place = TopicPartition(topic, first.partition)
    with changed_log(crowd.exchange.log, place, first.offset, [second, first]):
        findings = audited(crowd)
    named = [(f.topic, f.partition, f.offset, f.check) for f in findings.findings]
    assert (topic, first.partition, first.offset, "messages moved") in named


@pytest.mark.parametrize("topic", DERIVED)
def test_a_record_that_nothing_caused_is_found_where_it_stands(
    crowd: AuditedCrowd, topic: str
) -> None:
    """A stranger's: well-formed, from a source that exists or from none."""
    record = next(r for r in crowd.exchange.records(topic) if b"stranger" not in (r.value or b""))
    message = local_schemas().decode(topic, record.value)
    assert message is not None
    for origin in ({"offset": 2}, {"partition": 77}, {"topic": 9}, {"offset": 10**9}):
        fields = message.fields | {"origin": message.fields["origin"] | origin}
        value = local_schemas().encode(topic, message.record, fields)
        place = TopicPartition(topic, record.partition)
        at = crowd.exchange.log.append(Outgoing(topic, record.partition, record.key, value))
        findings = audited(crowd)
        crowd.exchange.log._entries(place).pop()
        named = [(f.topic, f.partition, f.offset) for f in findings.findings]
        assert (topic, record.partition, at) in named


@pytest.mark.parametrize("topic", ["accounts", "matching", "executions", "trades"])
def test_a_hole_in_a_writers_sequence_is_found(crowd: AuditedCrowd, topic: str) -> None:
    """The message is there and right but for its number."""
    record = two_of_one_flow(crowd, topic)[1]
    message = local_schemas().decode(topic, record.value)
    assert message is not None
    origin = message.fields["origin"] | {"sequence": message.fields["origin"]["sequence"] + 1}
    value = local_schemas().encode(topic, message.record, message.fields | {"origin": origin})
    other = Record(topic, record.partition, record.offset, record.timestamp_ms, record.key, value)
    place = TopicPartition(topic, record.partition)
    with changed_log(crowd.exchange.log, place, record.offset, [other]):
        findings = audited(crowd)
    assert place_of(findings) == (topic, record.partition, record.offset)


def test_the_last_message_of_all_is_missed_too(crowd: AuditedCrowd) -> None:
    place = TopicPartition("trades", 0)
    last = [r for r in crowd.exchange.records("trades") if r.partition == 0][-1]
    with changed_log(crowd.exchange.log, place, last.offset, [None]):
        findings = audited(crowd)
    assert findings.first is not None
    assert findings.first.check == "messages missing"
    assert findings.first.offset > last.offset
    assert "Trade(" in findings.first.expected


# --- sums over all shards


@pytest.mark.parametrize("side", [0, 1], ids=["left", "right"])
@pytest.mark.parametrize("pair", range(len(_EQUAL_TOTALS)))
def test_sums_that_do_not_agree_over_all_shards_are_found(
    crowd: AuditedCrowd, pair: int, side: int
) -> None:
    """Each shard holds by itself, and all of them together do not."""
    auditor = Auditor(crowd.exchange.reader, local_schemas())
    auditor.advance()
    auditor.close_books(drained=True)
    name = _EQUAL_TOTALS[pair][side][0]
    auditor.ledger.totals[name] += 1
    found = judge(auditor.ledger, crowd.exchange.reader, local_schemas(), drained=True)
    assert {finding.check for finding in found.findings} == {"CONSERVATION"}
    spelled = [" + ".join(names) for names in _EQUAL_TOTALS[pair]]
    (told,) = [
        f
        for f in found.findings
        if [f.expected.partition(" = ")[0], f.found.partition(" = ")[0]] == spelled
    ]
    sums = [int(text.partition(" = ")[2]) for text in (told.expected, told.found)]
    assert sums[side] == sums[1 - side] + 1
    assert told.where == "totals over all partitions"


# --- which of many differences comes first


class OneByOne(MemoryReader):
    """Of the rows that a chunk of records should have, only the first wrong one is told."""

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        for chunk in super().read(partition, start, end):
            for record in chunk:
                yield [record]


def test_the_first_difference_is_told_however_many_come_after_it(crowd: AuditedCrowd) -> None:
    """In an inbox that is read after the feed whose rows are all wrong."""
    rows = record_rows(crowd.exchange)
    wrong = 0
    for (table, _, _), kept in rows._kept.items():
        if table == "executions":
            wrong += len(kept)
            kept.update({offset: flip(row, len(row) - 1) for offset, row in kept.items()})
    assert wrong > FINDINGS_MAX
    inbox = rows._kept["archive", "accounts", 2]
    first = min(inbox)
    inbox[first] = flip(inbox[first], len(inbox[first]) - 1)
    auditor = Auditor(OneByOne(crowd.exchange.log), local_schemas(), rows)
    auditor.advance()
    findings = auditor.findings()
    assert place_of(findings) == ("accounts", 2, first)
    assert len(findings.findings) == wrong + 1


def test_of_one_check_in_one_partition_only_the_first_are_spelled_out() -> None:
    ledger = Ledger()
    for offset in range(FINDINGS_MAX + 50):
        ledger.report(Finding("rows", "trades", 0, offset, "one row", "another"))
    others = [
        Finding("rows", "trades", 1, 0, "one row", "another"),
        Finding("CAPS", "trades", 0, 0, "less", "more"),
    ]
    for finding in others:
        ledger.report(finding)
    assert len(ledger.findings) == FINDINGS_MAX + 2
    assert ledger.findings[-2:] == others
    assert ledger.notes["findings not spelled out"] == 50


# --- going on, and what is on its way


def test_auditing_in_steps_finds_what_auditing_at_once_finds() -> None:
    crowd = AuditedCrowd(seed=6, sent=120)
    stepwise = Auditor(crowd.exchange.reader, local_schemas(), None, crowd.snapshots)
    for turn in range(3):
        stepwise.advance()
        assert stepwise.findings().holds
        crowd.trade(seed=6, sent=60, first=120 + 60 * turn)
        crowd.take_snapshots()
    stepwise.advance()
    whole = Auditor(crowd.exchange.reader, local_schemas(), None, crowd.snapshots)
    whole.advance()
    one, other = stepwise.findings(), whole.findings()
    assert one.holds
    assert one.digests == other.digests
    assert one.totals == other.totals
    assert one.checked == other.checked


def test_two_people_get_the_same_digests_and_another_record_changes_one(
    crowd: AuditedCrowd,
) -> None:
    first, second = audited(crowd), audited(crowd)
    assert first.digests == second.digests
    record = crowd.exchange.records("orders")[7]
    other = Record("orders", record.partition, record.offset, record.timestamp_ms, b"k", b"junk")
    place = TopicPartition("orders", record.partition)
    with changed_log(crowd.exchange.log, place, record.offset, [other]):
        changed = audited(crowd)
    differing = [a for a, b in zip(first.digests, changed.digests, strict=True) if a != b]
    assert [(d.topic, d.partition) for d in differing] == [("orders", record.partition)]


def test_what_is_on_its_way_is_no_difference_until_nothing_moves_any_more() -> None:
    crowd = AuditedCrowd(seed=8, sent=60)
    for record in crowd.exchange.records("orders")[:5]:
        crowd.exchange.publish_raw("orders", record.partition, record.value or b"")
    auditor = Auditor(crowd.exchange.reader, local_schemas())
    auditor.advance()
    moving = auditor.findings(drained=False)
    assert moving.holds
    assert moving.notes["messages on their way"] == 5
    still = auditor.findings(drained=True)
    assert still.first is not None
    assert still.first.check == "messages missing"
    crowd.exchange.run()
    auditor.advance()
    assert auditor.findings().holds


# --- rows that come later, and a log that begins late


def test_records_that_are_not_recorded_yet_are_counted_and_compared_later() -> None:
    crowd = AuditedCrowd(seed=9, sent=90)
    rows = record_rows(crowd.exchange)
    positions = dict(rows.positions)
    kept = {place: dict(held) for place, held in rows._kept.items()}
    for place, (first, end) in positions.items():
        rows.positions[place] = (first, end // 2)
    for (table, topic, partition), held in rows._kept.items():
        half = rows.positions[topic, partition][1]
        rows._kept[table, topic, partition] = {o: r for o, r in held.items() if o < half}
    auditor = crowd.auditor(rows)
    auditor.advance()
    lagging = auditor.findings()
    assert lagging.holds
    assert lagging.notes["records not yet recorded in PostgreSQL"] > 100
    rows._kept.update(kept)
    rows.positions.update(positions)
    auditor.advance()
    caught_up = auditor.findings()
    assert caught_up.holds
    assert "records not yet recorded in PostgreSQL" not in caught_up.notes
    whole = crowd.auditor(record_rows(crowd.exchange))
    whole.advance()
    assert caught_up.checked == whole.findings().checked


def test_feeds_that_retention_shortened_are_checked_by_their_rows() -> None:
    crowd = AuditedCrowd(seed=10, sent=120)
    rows = record_rows(crowd.exchange)
    for topic in ("executions", "trades", "orders", "orders.dlq", "book"):
        for place in crowd.exchange.log.partitions_of(topic):
            end = crowd.exchange.log.end_offset(place)
            crowd.exchange.log.drop_records(place, end // 2)
    auditor = crowd.auditor(rows)
    auditor.advance()
    findings = auditor.findings()
    assert findings.findings == ()
    assert findings.checked["messages of executions, from executions alone"] > 20
    assert findings.checked["messages of trades, from trades alone"] > 5
    assert findings.notes["messages whose other side retention took"] > 20
    row = next(rows.packed("trades", "trades", 0, 0, 2**62))
    rows._kept["trades", "trades", 0][0] = row.replace(b"AAPL", b"APPL")
    changed = crowd.auditor(rows)
    changed.advance()
    assert place_of(changed.findings()) == ("trades", 0, 0)


def test_a_log_that_begins_late_without_its_archive_is_refused() -> None:
    from services.runtime.errors import HistoryLostError

    crowd = AuditedCrowd(seed=11, sent=30)
    crowd.exchange.log.drop_records(TopicPartition("accounts", 2), 5)
    with pytest.raises(HistoryLostError, match="accounts/2 begins at offset 5"):
        crowd.auditor().advance()


# --- from snapshots


def begun_at_snapshots(crowd: AuditedCrowd) -> Findings:
    auditor = Auditor(
        crowd.exchange.reader,
        local_schemas(),
        record_rows(crowd.exchange),
        crowd.snapshots,
        from_snapshots=True,
    )
    auditor.advance()
    return auditor.findings()


def test_an_audit_from_snapshots_needs_nothing_before_them() -> None:
    crowd = AuditedCrowd(seed=12, sent=90)
    crowd.trade(seed=12, sent=200, first=90)
    for topic, partition in crowd.newest():
        offset = crowd.newest()[topic, partition].offset
        crowd.exchange.log.drop_records(TopicPartition(topic, partition), offset)
    findings = begun_at_snapshots(crowd)
    assert findings.findings == ()
    assert findings.notes["folds begun at a snapshot"] == 9
    assert 0 < findings.checked["messages of matching"] < 220


def test_an_audit_from_snapshots_finds_what_is_changed_after_them() -> None:
    crowd = AuditedCrowd(seed=12, sent=90)
    crowd.trade(seed=12, sent=200, first=90)
    record = crowd.exchange.records("trades")[-1]
    place = TopicPartition("trades", record.partition)
    other = other_value(record, 30)
    with changed_log(crowd.exchange.log, place, record.offset, [other]):
        findings = begun_at_snapshots(crowd)
    assert place_of(findings) == ("trades", record.partition, record.offset)


def test_a_damaged_snapshot_is_not_begun_at() -> None:
    crowd = AuditedCrowd(seed=12, sent=90)
    kept = crowd.newest()["accounts", 1]
    crowd.snapshots.put(replace(kept, state=flip(kept.state, 50)))
    findings = begun_at_snapshots(crowd)
    assert place_of(findings) == ("accounts", 1, kept.offset)
    assert findings.notes["folds begun at a snapshot"] == 9
