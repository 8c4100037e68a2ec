"""Text to instants, column-wise, and which zones a file's times are in.

Understood: `2024-01-02`, `20240102`, with a time of day after a blank or T, to the nanosecond,
with an offset (`Z`, `-05:00`, `-0500`) or without one; and whole numbers since the epoch, of which
the size tells whether they are seconds, milliseconds, microseconds or nanoseconds.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from services.tools.history.errors import HistoryError

ROWS_TOLD: Final = 5
"""How many rows of each kind a refusal names."""

_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _US
_SLOT_US: Final = 900 * _US
"""A zone's offset is asked for each quarter of an hour: no zone changes within one."""

_PATTERN: Final = (
    r"^[[:space:]]*(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})"
    r"(?:[T ]+(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9}))?)?)?"
    r"[[:space:]]*(?P<offset>Z|z|UTC|[+-][0-9]{2}:?[0-9]{2})?[[:space:]]*$"
)
_EPOCH_DIGITS: Final = (
    r"^[[:space:]]*[0-9]{9,18}[[:space:]]*$|^[[:space:]]*[1-8][0-9]{18}[[:space:]]*$"
)
_NO_OFFSET: Final = "none"
_EPOCH: Final = date(1970, 1, 1)


class Times(msgspec.Struct, frozen=True):
    """A column of times; null where the text is none."""

    written_us: "pa.Array"
    """As written, without any offset; of numbers since the epoch, in UTC."""
    time_us: "pa.Array"
    """The instant, microseconds since the epoch; null also where a zone's clock never showed it, or
    twice."""
    is_cut: "pa.Array"
    """Whether digits beyond the microsecond were cut."""


class _Seen(msgspec.Struct):
    count: int
    rows: list[int]


class Clock:
    """Reads the times of one file, and remembers in which zones they were."""

    def __init__(self, zone: str | None) -> None:
        self._zone = None if zone is None else find_zone(zone)
        self._zone_name = zone
        self._seen: dict[str, _Seen] = {}
        self._disagreeing = _Seen(0, [])
        """Rows whose own offset is not the zone's at that time."""
        self._days: dict[str, int | None] = {}
        self._slots: dict[int, int | None] = {}

    def read(self, text: "pa.Array", rows: "pa.Array") -> Times:
        """Read a column; `rows` are the numbers to tell people."""
        parts = pc.extract_regex(text, pattern=_PATTERN)
        written, is_cut = self._written(parts)
        counted, is_counted_cut = _since_epoch(text)
        written = pc.coalesce(written, counted)
        is_cut = pc.or_(is_cut, is_counted_cut)
        offsets = pc.if_else(pc.equal(parts.field("offset"), ""), _NO_OFFSET, parts.field("offset"))
        offsets = pc.if_else(counted.is_valid(), "Z", offsets)
        offsets = pc.if_else(written.is_valid(), offsets, pa.scalar(None, pa.string()))
        self._remember(offsets, rows)
        return Times(written, self._instants(written, offsets, rows), is_cut)

    def find_mixture(self) -> str | None:
        """Why the file's times are not of one zone, with row numbers; None if they are."""
        kinds = [kind for kind in self._seen if kind != _NO_OFFSET]
        if kinds and _NO_OFFSET in self._seen:
            told = "; ".join(
                f"{'without offset' if kind == _NO_OFFSET else kind}: {_tell(self._seen[kind])}"
                for kind in (_NO_OFFSET, *kinds)
            )
            return f"times with and without an offset ({told})"
        if self._zone is not None and self._disagreeing.count:
            return f"offsets that {self._zone_name} never has then ({_tell(self._disagreeing)})"
        if self._zone is None and len({_offset_us(kind) for kind in kinds}) > 1:
            told = "; ".join(f"{kind}: {_tell(self._seen[kind])}" for kind in kinds)
            return f"offsets of more than one zone ({told})"
        return None

    @property
    def lacks_zone(self) -> bool:
        """Whether times without an offset were read and no zone was given."""
        return self._zone is None and _NO_OFFSET in self._seen

    # --- parts

    def _written(self, parts: "pa.StructArray") -> "tuple[pa.Array, pa.Array]":
        days = parts.field("day").dictionary_encode()
        numbers = pa.array([self._day(day) for day in days.dictionary.to_pylist()], pa.int64())
        day = numbers.take(days.indices)
        hour, minute, second = (
            _integer(parts.field(name)) for name in ("hour", "minute", "second")
        )
        fraction = pc.utf8_rpad(parts.field("fraction"), 9, "0")
        us = _integer(pc.utf8_slice_codeunits(fraction, 0, 6))
        finer = pc.not_equal(pc.utf8_slice_codeunits(fraction, 6, 9), "000")
        possible = pc.and_(
            pc.and_(pc.less(hour, 24), pc.less(minute, 60)),
            pc.and_(pc.less(second, 60), parts.is_valid()),
        )
        seconds = pc.add(pc.add(pc.multiply(hour, 3600), pc.multiply(minute, 60)), second)
        time_us = pc.add(pc.add(pc.multiply(day, _DAY_US), pc.multiply(seconds, _US)), us)
        written = pc.if_else(possible, time_us, pa.scalar(None, pa.int64()))
        return written, pc.and_(written.is_valid(), pc.fill_null(finer, False))

    def _day(self, text: str) -> int | None:
        if text not in self._days:
            try:
                self._days[text] = (date.fromisoformat(text) - _EPOCH).days
            except ValueError:
                self._days[text] = None
        return self._days[text]

    def _remember(self, offsets: "pa.Array", rows: "pa.Array") -> None:
        for entry in pc.value_counts(offsets.drop_null()).to_pylist():
            kind = entry["values"]
            seen = self._seen.setdefault(kind, _Seen(0, []))
            seen.count += entry["counts"]
            _add_rows(seen, rows, pc.fill_null(pc.equal(offsets, kind), False))

    def _instants(self, written: "pa.Array", offsets: "pa.Array", rows: "pa.Array") -> "pa.Array":
        kinds = offsets.dictionary_encode()
        shifts = pa.array([_offset_us(k) for k in kinds.dictionary.to_pylist()], pa.int64())
        told = pc.subtract(written, shifts.take(kinds.indices))
        if self._zone is None:
            return pc.coalesce(told, written)
        in_zone = self._zone_us(written)
        differs = pc.fill_null(pc.not_equal(told, in_zone), False)
        self._disagreeing.count += pc.sum(differs).as_py() or 0
        _add_rows(self._disagreeing, rows, differs)
        return pc.coalesce(told, in_zone)

    def _zone_us(self, written: "pa.Array") -> "pa.Array":
        whole = pc.divide(written, _SLOT_US)
        is_before = pc.less(pc.subtract(written, pc.multiply(whole, _SLOT_US)), 0)
        slots = pc.subtract(whole, pc.cast(is_before, pa.int64()))  # rounded down, not to zero
        coded = slots.dictionary_encode()
        shifts = [self._slot(slot) for slot in coded.dictionary.to_pylist()]
        return pc.subtract(written, pa.array(shifts, pa.int64()).take(coded.indices))

    def _slot(self, slot: int) -> int | None:
        """The zone's offset in a quarter of an hour on its clock; None: never shown, or twice."""
        if slot not in self._slots:
            assert self._zone is not None
            shown = datetime(1970, 1, 1) + timedelta(microseconds=slot * _SLOT_US)  # noqa: DTZ001 - a clock's face
            early = shown.replace(tzinfo=self._zone, fold=0).utcoffset()
            late = shown.replace(tzinfo=self._zone, fold=1).utcoffset()
            assert early is not None
            shift = early // timedelta(microseconds=1)
            self._slots[slot] = shift if early == late else None
        return self._slots[slot]


def _since_epoch(text: "pa.Array") -> "tuple[pa.Array, pa.Array]":
    """Numbers since the epoch in microseconds, and which of them were cut; else null."""
    is_number = pc.fill_null(pc.match_substring_regex(text, _EPOCH_DIGITS), False)
    digits = pc.if_else(is_number, pc.utf8_trim_whitespace(text), "0").cast(pa.int64())
    thousands = pc.divide(digits, 1_000)
    us = pc.case_when(
        pc.make_struct(*(pc.less(digits, 10**size) for size in (11, 14, 17))),
        pc.multiply(pc.min_element_wise(digits, 10**11), _US),
        pc.multiply(pc.min_element_wise(digits, 10**14), 1_000),
        digits,
        thousands,
    )
    is_finer = pc.not_equal(pc.multiply(thousands, 1_000), digits)
    is_cut = pc.and_(is_number, pc.and_(pc.greater_equal(digits, 10**17), is_finer))
    return pc.if_else(is_number, us, pa.scalar(None, pa.int64())), is_cut


def find_zone(name: str) -> ZoneInfo:
    """Raises HistoryError where no zone has this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise HistoryError(f"--time-zone {name!r} is none: try America/New_York or UTC") from error


def spell_time(time_us: int) -> str:
    """For people."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


def _offset_us(kind: str) -> int | None:
    if kind == _NO_OFFSET:
        return None
    found = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", kind)
    if found is None:
        return 0
    minutes = int(found[2]) * 60 + int(found[3])
    return (-1 if found[1] == "-" else 1) * minutes * 60 * _US


def _integer(text: "pa.Array") -> "pa.Array":
    return pc.if_else(pc.equal(text, ""), "0", text).fill_null("0").cast(pa.int64())


def _add_rows(seen: _Seen, rows: "pa.Array", mask: "pa.Array") -> None:
    if len(seen.rows) < ROWS_TOLD:
        seen.rows += rows.filter(mask).slice(0, ROWS_TOLD - len(seen.rows)).to_pylist()


def _tell(seen: _Seen) -> str:
    return f"{seen.count} rows, the first {_spell_rows(seen.rows)}"


def _spell_rows(rows: Sequence[int]) -> str:
    return ", ".join(str(row) for row in rows)
