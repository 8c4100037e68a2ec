"""Which records of `features` are rows to keep: each once, newest last, of known definitions."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from services.domain.features import FeatureRow
from services.domain.origin import TRADES, Origin
from services.featuresets.definitions import EXACT_MAX, FeatureSet

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
    UNKNOWN_SET = "unknown_set"
    """Of a set that this code does not have."""
    FOREIGN_FINGERPRINT = "foreign_fingerprint"
    """Made by other definitions of the set than this code's."""
    MALFORMED = "malformed"
    """Not what the feature room writes: values, ticker or times that can't be."""


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
    """The state: how far each ticker's rows of each set have come.

    Args:
        sets: by name.
        newest_us: the newest grid time that is kept already, by feature set and ticker.
        is_ticker: whether the lake can hold a ticker of this name.
    """

    def __init__(
        self,
        sets: Mapping[str, KnownSet],
        newest_us: Mapping[tuple[str, str], int],
        is_ticker: Callable[[str], bool],
    ) -> None:
        self._sets = sets
        self._is_ticker = is_ticker
        self._newest_us = dict(newest_us)

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
        place = (row.feature_set, row.ticker)
        if row.grid_time_us <= self._newest_us.get(place, -1):
            return Passed.REPEATED
        self._newest_us[place] = row.grid_time_us
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
