"""A lake with feature rows that a fold made of made-up trades."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.featuresets.grid import GridRow
from services.lake.files import write_file
from services.lake.places import Lake, backfill_file, day_of
from services.lake.schemas import feature_schema
from tests.support.drawn_ticks import seeded_ticks
from tests.support.feature_checks import folded

START_US: Final = 1_789_999_999_000_000


def walk_rows(feature_set: FeatureSet[Any], seed: int, trades: int) -> list[GridRow]:
    """What a set makes of so many trades."""
    return folded(feature_set, seeded_ticks(seed, trades))


def put_rows(
    lake: Lake,
    feature_set: FeatureSet[Any],
    ticker: str,
    rows: Sequence[GridRow],
    made_by: str | None = None,
) -> None:
    """Into a file a day, as a backfill does; the closing trade comes a millisecond later."""
    schema = feature_schema(feature_set.columns)
    for day, members in groupby(rows, key=lambda row: day_of(row.grid_time_us)):
        of_day = list(members)
        columns: dict[str, list[Any]] = {
            "ticker": [ticker] * len(of_day),
            "event_timestamp": [row.grid_time_us for row in of_day],
            "created": [row.grid_time_us + 1_000 for row in of_day],
            "processed": [None] * len(of_day),
            "trade_offset": [row.rewind_offset for row in of_day],
            "fingerprint": [made_by or fingerprint(feature_set)] * len(of_day),
        }
        for place, feature in enumerate(feature_set.features):
            columns[feature.name] = [feature.real(row.values[place]) for row in of_day]
        arrays = {name: pa.array(cells, schema.field(name).type) for name, cells in columns.items()}
        name = backfill_file(of_day[0].rewind_offset, of_day[-1].grid_time_us // 1_000_000).name
        write_file(lake.features(feature_set.name, ticker, day) / name, schema, [pa.table(arrays)])
