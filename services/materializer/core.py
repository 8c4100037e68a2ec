"""Which records of `features` are rows to keep: each once, newest last, of known definitions."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from services.domain.features import FeatureRow
from services.domain.origin import TRADES, Origin
from services.featuresets.definitions import EXACT_MAX, FeatureSet

SEEN_MAX: Final = 20_000
"""Five hours of rows: what is written again after a failure is seconds old."""
_SECOND_US: Final = 1_000_000
_TIME_MAX_US: Final = 9_214_646_399 * _SECOND_US
"""The end of the year 2261: pandas, and Feast with it, counts nanoseconds in 64 bits."""


class KnownSet(msgspec.Struct, frozen=True):
    """A feature set of this code, with the fingerprint that its rows must carry."""

    definition: FeatureSet[Any]
    fingerprint: str


class Passed(Enum):
    """Why a record is no row to keep."""

    REPEATED = "repeated"
    """Written again after a crash: the row was there before."""
    TOO_LATE = "too_late"
    """So far behind newer rows that nobody remembers whether it was there: `SEEN_MAX` of them."""
    UNKNOWN_SET = "unknown_set"
    """Of a set that this code does not have."""
    FOREIGN_FINGERPRINT = "foreign_fingerprint"
    """Made by other definitions of the set than this code's."""
    MALFORMED = "malformed"
    """Not what the feature room writes: values, ticker or times that can't be."""


class Seen:
    """The grid times of a ticker's rows that are kept already, the newest `SEEN_MAX` at least.

    Rows rise, but for what a broker's failure took: it can leave a row without the one before it,
    and both are written again. So what was seen is remembered, not only how far it came.

    Args:
        times_us: of rows that are kept.
        floor_us: at or below it nothing is remembered; -1: everything is.
    """

    def __init__(self, times_us: Iterable[int] = (), floor_us: int = -1) -> None:
        self._times_us = set(times_us)
        self._floor_us = floor_us

    def take(self, time_us: int) -> Passed | None:
        """Note a row; why it is none to keep, or None."""
        if time_us in self._times_us:
            return Passed.REPEATED
        if time_us <= self._floor_us:
            return Passed.TOO_LATE
        self._times_us.add(time_us)
        if len(self._times_us) > 2 * SEEN_MAX:
            newest_first = sorted(self._times_us, reverse=True)
            self._times_us = set(newest_first[:SEEN_MAX])
            self._floor_us = newest_first[SEEN_MAX]
        return None


class KeptRow(msgspec.Struct, frozen=True, gc=False):
    """A row to keep, with where it stands on the log."""

    feature_set: str
    ticker: str
    partition: int
    offset: int
    """Of `features`."""
    grid_time_us: int
    created_us: int
    """The closing trade's time."""
    processed_us: int
    """When the row came to Kafka."""
    trade_offset: int
    fingerprint: str
    values: tuple[float | None, ...]


class Intake:
    """The state: which of each ticker's rows of each set are kept.

    Args:
        sets: by name.
        seen: what is kept already, by feature set and ticker.
        is_ticker: whether the lake can hold a ticker of this name.
    """

    def __init__(
        self,
        sets: Mapping[str, KnownSet],
        seen: Mapping[tuple[str, str], Seen],
        is_ticker: Callable[[str], bool],
    ) -> None:
        self._sets = sets
        self._is_ticker = is_ticker
        self._seen = dict(seen)

    def take(
        self, partition: int, offset: int, processed_us: int, origin: Origin, row: FeatureRow
    ) -> KeptRow | Passed:
        """Check one record, all of it, and then note it."""
        known = self._sets.get(row.feature_set)
        if known is None:
            return Passed.UNKNOWN_SET
        if row.fingerprint != known.fingerprint:
            return Passed.FOREIGN_FINGERPRINT
        features = known.definition.features
        if not (
            len(row.values) == len(features)
            and all(value is None or -EXACT_MAX < value < EXACT_MAX for value in row.values)
            and self._is_ticker(row.ticker)
            and 0 <= row.grid_time_us <= _TIME_MAX_US
            and row.grid_time_us % _SECOND_US == 0
            and 0 <= origin.time_us <= _TIME_MAX_US
            and 0 <= processed_us <= _TIME_MAX_US
            and origin.topic == TRADES
        ):
            return Passed.MALFORMED
        seen = self._seen.setdefault((row.feature_set, row.ticker), Seen())
        if passed := seen.take(row.grid_time_us):
            return passed
        return KeptRow(
            row.feature_set,
            row.ticker,
            partition,
            offset,
            row.grid_time_us,
            origin.time_us,
            processed_us,
            origin.offset,
            row.fingerprint,
            tuple(feature.real(value) for feature, value in zip(features, row.values, strict=True)),
        )
