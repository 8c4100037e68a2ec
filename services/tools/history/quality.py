"""Results of the checks, kept beside the lake: one file a batch, `quality/<kind>/<batch>.json`.

A batch is one run over one file. Its name is the time of the run and the file's hash.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from services.lake.errors import LakeError
from services.lake.files import partial_of, put_in_place
from services.lake.places import Lake
from services.tools.history.errors import HistoryError
from services.tools.history.report import Finding, Report
from services.tools.history.rules import RULES

FORMAT: Final = 1
KINDS: Final = ("trades", "bars", "lobster")
_BATCH: Final = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{12}")


class Check(msgspec.Struct, frozen=True):
    """One rule, asked of a batch."""

    rule: str
    action: str
    what: str
    count: int
    finding: Finding
    passed: bool


class Batch(msgspec.Struct, frozen=True):
    """One run over one file."""

    format: int
    batch: str
    at: str
    report: Report
    checks: tuple[Check, ...]
    """Every rule of its kind, those without a finding too."""


def keep(lake: Lake, report: Report, at: datetime) -> Batch:
    """Write a batch's results.

    Raises:
        LakeError: the disk does not take them.
    """
    name = f"{at.astimezone(UTC):%Y%m%dT%H%M%S%f}Z-{(report.sha256 or '0' * 12)[:12]}"
    checks = tuple(
        Check(rule.name, rule.action, rule.what, finding.count, finding, finding.count == 0)
        for rule in RULES
        if report.kind in rule.kinds
        for finding in (report.findings.get(rule.name, Finding()),)
    )
    batch = Batch(FORMAT, name, at.astimezone(UTC).isoformat(), report, checks)
    put_document(lake.quality(report.kind) / f"{name}.json", batch)
    return batch


def put_document(path: Path, document: msgspec.Struct) -> None:
    """Write a document of JSON, whole or not at all.

    Raises:
        LakeError: the disk does not take it.
    """
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
        put_in_place(partial, path)
    except OSError as error:
        raise LakeError(f"{path} can't be written: {error.strerror}") from error


def batches(lake: Lake) -> list[Batch]:
    """All of them, oldest first.

    Raises:
        LakeError: one is damaged.
    """
    found: list[Batch] = []
    for kind in KINDS:
        for path in lake.quality(kind).glob("*.json"):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Batch))
            except (OSError, msgspec.MsgspecError) as error:
                raise LakeError(f"{path} is damaged ({error}); remove it") from error
    return sorted(found, key=lambda batch: batch.batch)


def find_batch(lake: Lake, name: str) -> Batch:
    """The one batch whose name begins so.

    Raises:
        HistoryError: there is none, or more than one.
    """
    found = [batch for batch in batches(lake) if batch.batch.startswith(name)]
    if len(found) != 1:
        how_many = "no batch" if not found else f"{len(found)} batches"
        raise HistoryError(f"{how_many} named {name}...: `outcry history quality` lists them")
    return found[0]
