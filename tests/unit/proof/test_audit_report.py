"""An audit as people read it: what was checked, digests to compare, and the first difference."""

import re

import pytest

from services.runtime.ports import TopicPartition
from services.tools.proof.audit.auditor import Findings
from services.tools.proof.audit_report import print_findings
from services.wire.topics import TRADING
from tests.support.audited_crowd import AuditedCrowd, record_rows
from tests.support.planted import changed_log, flip, other_value


@pytest.fixture(scope="module")
def crowd() -> AuditedCrowd:
    return AuditedCrowd(seed=5, sent=90)


def audited(crowd: AuditedCrowd) -> Findings:
    auditor = crowd.auditor()
    auditor.advance()
    return auditor.findings()


def printed(found: Findings, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines, with one blank between words."""
    print_findings(found)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_whole_log_shows_figures_and_every_digest(
    crowd: AuditedCrowd, capsys: pytest.CaptureFixture[str]
) -> None:
    found = audited(crowd)
    lines = printed(found, capsys)
    assert len(found.digests) == sum(topic.partitions for topic in TRADING)
    for one in found.digests:
        place = f"{one.topic} {one.partition} {one.first_offset} {one.next_offset} {one.records}"
        assert f"{place} {one.digest}" in lines
    for name, number in (found.checked | found.totals).items():
        assert f"{name} {number:,}" in lines
    assert lines[-2:] == ["The audit ran as pure Python.", "Everything follows from the log."]


def test_a_broken_log_shows_its_first_difference_and_what_follows(
    crowd: AuditedCrowd, capsys: pytest.CaptureFixture[str]
) -> None:
    record = next(r for r in crowd.exchange.records("trades") if len(r.value or b"") > 60)
    place = TopicPartition("trades", record.partition)
    with changed_log(crowd.exchange.log, place, record.offset, [other_value(record, 40)]):
        found = audited(crowd)
    lines = printed(found, capsys)
    assert not any("Everything follows" in line for line in lines)
    (headline,) = [line for line in lines if line.startswith("FIRST DIFFERENCE")]
    where = f"trades/{record.partition} at offset {record.offset} ("
    assert headline.startswith(f"FIRST DIFFERENCE: {where}")
    after = lines[lines.index(headline) + 1 :]
    assert re.match(r"expected: \S", after[0])
    assert re.match(r"found: \S", after[1])
    assert len(after) == 2 + len(found.findings) - 1
    assert all(line.startswith(f"then: {where[:-1]}") for line in after[2:])


def test_a_row_names_its_table_and_many_differences_are_counted(
    crowd: AuditedCrowd, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = record_rows(crowd.exchange)
    for (table, _, _), kept in rows._kept.items():
        if table not in ("archive", "orders", "executions"):
            continue
        first = min(kept)
        kept[first] = flip(kept[first], len(kept[first]) - 1)
    auditor = crowd.auditor(rows)
    auditor.advance()
    found = auditor.findings()
    lines = printed(found, capsys)
    assert found.first is not None
    assert any(f", {found.first.where} (rows)" in line for line in lines if "FIRST" in line)
    assert sum(line.startswith("then: ") for line in lines) == 10
    assert lines[-1] == f"and {len(found.findings) - 11} more"
