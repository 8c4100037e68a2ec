"""From a difference of digests to what people can read: where, what was expected, what is there."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from services.runtime.errors import OperatingError
from services.runtime.ports import LogReader, Record, Snapshot, TopicPartition
from services.tools.proof.audit.flows import Difference
from services.tools.proof.audit.folds import open_model
from services.tools.proof.audit.ingest import SOURCE_NUMBERS, derive_commands
from services.tools.proof.audit.ledger import Finding, Ledger, Place
from services.tools.proof.audit.model import Derived
from services.tools.proof.audit.schemas import Fields, Schemas

LAST_MS: Final = 2**62
"""Log time of what has none: after everything else."""
_NAMES: Final = {number: name for name, number in SOURCE_NUMBERS.items()}
_EXPLAINED_MAX: Final = 5
"""Differences whose message is derived again: each may cost a fold from the beginning."""


def explain(
    differences: Sequence[Difference], ledger: Ledger, log: LogReader, schemas: Schemas
) -> list[Finding]:
    """Findings for the differences, and log times for those that have none yet."""
    ledger.findings[:] = [
        finding if finding.time_ms else msgspec.structs.replace(
            finding, time_ms=_time_of(log, (finding.topic, finding.partition), finding.offset)
        )
        for finding in ledger.findings
    ]  # fmt: skip
    placed = [_place(difference, differences, ledger, log) for difference in differences]
    timed = sorted((_time_ms(difference, log), difference) for difference in placed)
    return [
        _finding(difference, time_ms, ledger, log, schemas, in_full=turn < _EXPLAINED_MAX)
        for turn, (time_ms, difference) in enumerate(timed)
    ]


def _place(
    difference: Difference, differences: Sequence[Difference], ledger: Ledger, log: LogReader
) -> Difference:
    """A message that is missing is missing where something else stands in its stead."""
    if difference.kind != "missing":
        return difference
    place = (difference.key.topic, difference.key.partition)
    others = [
        other.offset
        for other in differences
        if (other.key.topic, other.key.partition) == place and other.kind != "missing"
    ]
    found = [f.offset for f in ledger.findings if (f.topic, f.partition) == place]
    caused_ms = _time_ms(difference, log)
    junk = [
        offset for offset in ledger.junk.get(place, ()) if _time_of(log, place, offset) >= caused_ms
    ]
    for offsets in (others, found, junk):
        between = [o for o in offsets if difference.after < o < difference.offset]
        if between:
            return difference._replace(offset=min(between))
    return difference


def _time_ms(difference: Difference, log: LogReader) -> int:
    """Of the record at fault; of one that is missing, of what must have caused it."""
    if difference.kind == "missing":
        name = _NAMES[difference.key.source_topic]
        return _time_of(log, (name, difference.key.source_partition), difference.source_offset)
    return _time_of(log, (difference.key.topic, difference.key.partition), difference.offset)


def _time_of(log: LogReader, place: Place, offset: int) -> int:
    record = _record_at(log, place, offset)
    return LAST_MS if record is None else record.timestamp_ms


def _record_at(log: LogReader, place: Place, offset: int) -> Record | None:
    try:
        found = _records(log, place, offset, offset + 1)
        return next((record for record in found if record.offset == offset), None)
    except OperatingError:
        return None  # gone by retention, or not there


def _records(log: LogReader, place: Place, start: int, end: int) -> Iterator[Record]:
    for chunk in log.read(TopicPartition(*place), start, end):
        yield from chunk


def _finding(
    difference: Difference,
    time_ms: int,
    ledger: Ledger,
    log: LogReader,
    schemas: Schemas,
    *,
    in_full: bool,
) -> Finding:
    key = difference.key
    source = (_NAMES.get(key.source_topic, ""), key.source_partition)
    cause = f"{source[0] or key.source_topic}/{source[1]}@{difference.source_offset}"
    expected, found = f"what {cause} causes", "something else"
    if in_full:
        derived = None
        if difference.kind != "extra" and source[0]:
            at = (difference.source_offset, difference.source_index)
            derived = derive_again(log, schemas, source, at, ledger.starts.get(source))
        record = _record_at(log, (key.topic, key.partition), difference.offset)
        expected, found = _compare(difference, cause, derived, record, schemas)
    return Finding(
        f"messages {difference.kind}", key.topic, key.partition, difference.offset,
        expected, found, time_ms=time_ms, rank=4 if difference.kind == "missing" else 0,
    )  # fmt: skip


def derive_again(
    log: LogReader,
    schemas: Schemas,
    source: Place,
    at: tuple[int, int],
    start: Snapshot | None = None,
) -> Derived | None:
    """One message that must have been written: `at` is its record's offset, and its index."""
    offset, index = at
    if source[0] not in ("accounts", "matching"):
        record = _record_at(log, source, offset)
        messages = [] if record is None else derive_commands(schemas, record)
        return messages[index] if index < len(messages) else None
    model = open_model(source, start)
    for record in _records(log, source, 0 if start is None else start.offset, offset + 1):
        message = schemas.decode(record.topic, record.value)
        if message is not None:
            messages = model.take(record.offset, message.record, message.fields)
            if record.offset == offset:
                return messages[index] if index < len(messages) else None
    return None


def _compare(
    difference: Difference,
    cause: str,
    derived: Derived | None,
    record: Record | None,
    schemas: Schemas,
) -> tuple[str, str]:
    """Expected and found; of two messages of one kind, only the fields that differ."""
    message = None if record is None else schemas.decode(record.topic, record.value)
    expected = (
        f"nothing more from {cause}" if derived is None else _text(derived.record, derived.fields)
    )
    if difference.kind == "missing":
        return f"{expected} (from {cause})", _standing(record, message is None)
    if record is None or message is None:
        return expected, "no message"
    found = _text(message.record, message.fields)
    if derived is None or derived.record != message.record:
        return expected, found
    key = derived.key.encode() or None
    names = [name for name in derived.fields if derived.fields[name] != message.fields.get(name)]
    wanted = {name: derived.fields[name] for name in names}
    actual = {name: message.fields.get(name) for name in names}
    if record.key != key:
        wanted["(key)"], actual["(key)"] = key, record.key
    return f"{_text(derived.record, wanted)} (from {cause})", _text(message.record, actual)


def _standing(record: Record | None, is_junk: bool) -> str:  # noqa: FBT001 - private, one caller
    if record is None:
        return "nothing: the topic ends before it"
    return "a record that is no message" if is_junk else "it is missing before this record"


def _text(record: str, fields: Fields) -> str:
    return f"{record}({', '.join(f'{name}={_short(value)}' for name, value in fields.items())})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}..."


_TEXT_MAX: Final = 300
