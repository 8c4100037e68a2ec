"""Run as a program: audit a crowd's log in one form, and print everything it found as JSON.

    python -m tests.support.audit_form BUILDS CHANGE

BUILDS is where compiled forms are looked for (none there: pure Python); CHANGE is 'none' or what
is planted: 'message', 'row'. Nothing here may import the audit before its form is chosen.
"""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import msgspec

from services.tools.proof import compiled

SENT: Final = 400


class Found(msgspec.Struct, frozen=True):
    """What a form of the audit found."""

    form: str
    modules: int
    """How many modules came from a build."""
    findings: msgspec.Raw
    """As JSON, to be equal byte by byte."""


def main(builds: str, change: str) -> None:
    """Choose the form, then audit."""
    compiled.load(compiled.find_build(Path(builds)))
    from services.runtime.ports import TopicPartition
    from tests.support.audited_crowd import AuditedCrowd, record_rows
    from tests.support.planted import changed_log, changed_rows, flip, other_value

    crowd = AuditedCrowd(seed=5, sent=SENT)
    rows = record_rows(crowd.exchange)
    planted: AbstractContextManager[None] = nullcontext()
    if change == "message":
        place = TopicPartition("executions", 2)
        record = next(iter(crowd.exchange.log.scan(place, 30, 60)))
        altered = other_value(record, 40)
        planted = changed_log(crowd.exchange.log, place, record.offset, [altered])
    elif change == "row":
        table = ("orders", "accounts", 1)
        row = sorted(rows._kept[table].items())[5][1]
        planted = changed_rows(rows, table, row, flip(row, len(row) - 1))
    with planted:
        auditor = crowd.auditor(rows)
        auditor.advance()
        findings = auditor.findings()
    from_build = sum(
        str(sys.modules[name].__file__).startswith(builds)
        for name in compiled.MODULES
        if name in sys.modules
    )
    found = Found(compiled.form(), from_build, msgspec.Raw(msgspec.json.encode(findings)))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
