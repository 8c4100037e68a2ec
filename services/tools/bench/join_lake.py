"""What `outcry bench join` joins: a lake of feature rows that a fold made, and labels to ask for.

A ticker-day is made, written and forgotten before the next one, so memory does not grow with rows.
"""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from services.domain.genesis import default_genesis
from services.featuresets.fingerprint import fingerprint
from services.featuresets.grid import SECOND_US
from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.lake.asof import LABELS
from services.lake.files import write_file
from services.lake.places import Lake, backfill_file, day_bounds_us
from services.lake.schemas import TIME, feature_schema
from services.tools.vectorfold.fold import fold_columns
from services.tools.vectorfold.made_trades import make_trades

NOTE: Final = "bench-join.json"
"""Says what a lake was made of, so that the same one is not made twice."""

_FIRST_DAY: Final = date(2024, 1, 2)
_OPEN_US: Final = (14 * 60 + 30) * 60 * SECOND_US
_SESSION_S: Final = 23_400
_OUTSIDE_US: Final = 60 * SECOND_US
"""Labels are asked for from a minute before a session to a minute after it."""


class JoinLake(msgspec.Struct, frozen=True):
    """What a lake is made of: equal ones are the same lake, to the byte."""

    rows: int
    seed: int

    @property
    def tickers(self) -> list[str]:
        """Those of the default genesis."""
        return [instrument.ticker for instrument in default_genesis("bench").instruments]

    @property
    def days(self) -> list[date]:
        """As many weekdays as the rows need, with one each second of a session and ticker."""
        count = -(-self.rows // (len(self.tickers) * _SESSION_S))
        days: list[date] = []
        day = _FIRST_DAY
        while len(days) < count:
            if day.weekday() < 5:
                days.append(day)
            day += timedelta(days=1)
        return days


def make_lake(home: Path, made_of: JoinLake, tell: Callable[[int, int], None]) -> Lake:
    """The lake under a folder, made unless it is there already.

    Args:
        home: empty, absent, or with a lake that this function made.
        made_of: which lake.
        tell: called with rows so far and rows altogether.

    Raises:
        FileExistsError: the folder has something else.
        LakeError: the disk does not take it.
    """
    note, lake = home / NOTE, Lake(home)
    text = msgspec.json.encode(made_of)
    if note.exists() and note.read_bytes() == text:
        return lake
    if home.exists() and any(home.iterdir()):
        raise FileExistsError(f"{home} is not empty and has no lake of {text.decode()}")
    parts = [(day, ticker) for day in made_of.days for ticker in made_of.tickers]
    written = 0
    for number, (day, ticker) in enumerate(parts):
        share = (made_of.rows - written) // (len(parts) - number)
        table = _rows_of(made_of.seed + number, ticker, day, share)
        offsets = table.column("trade_offset")
        name = backfill_file(offsets[0].as_py(), offsets[-1].as_py()).name
        folder = lake.features(MICROSTRUCTURE_V1.name, ticker, day)
        write_file(folder / name, table.schema, [table])
        written += table.num_rows
        tell(written, made_of.rows)
    assert written == made_of.rows, f"{written} rows were made"
    note.write_bytes(text)
    return lake


def make_labels(made_of: JoinLake, count: int) -> "pa.Table":
    """Tickers and times at random, in no order; every row of the lake is as likely as the next."""
    rng = np.random.default_rng(made_of.seed)
    opens = np.array([day_bounds_us(day)[0] + _OPEN_US for day in made_of.days])
    times = rng.choice(opens, count) + rng.integers(
        -_OUTSIDE_US, _SESSION_S * SECOND_US + _OUTSIDE_US, count
    )
    tickers = np.array(made_of.tickers)[rng.integers(0, len(made_of.tickers), count)]
    return pa.table({"ticker": tickers.tolist(), "time_us": times}, schema=LABELS)


def _rows_of(seed: int, ticker: str, day: date, count: int) -> "pa.Table":
    """So many rows of microstructure_v1, folded from trades that come one each second or so."""
    trades = count + 100
    # Silences have few rows: then there are more trades.
    while (found := _fold(seed, day_bounds_us(day)[0] + _OPEN_US, trades)).num_rows < count:
        trades += trades // 4
    found = found.slice(0, count)
    fixed = {
        "ticker": pa.array([ticker] * count),
        "processed": pa.nulls(count, TIME),
        "fingerprint": pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(count, dtype=np.int32)), pa.array([fingerprint(MICROSTRUCTURE_V1)])
        ),
    }
    schema = feature_schema(MICROSTRUCTURE_V1.columns)
    columns = {**fixed, **{name: found.column(name) for name in found.column_names}}
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _fold(seed: int, opens_us: int, trades: int) -> "pa.Table":
    flow = make_trades(seed, trades, SECOND_US)
    flow = flow._replace(time_us=flow.time_us - flow.time_us[0] + opens_us)
    rows = fold_columns(MICROSTRUCTURE_V1, flow)
    table = {
        "event_timestamp": pa.array(rows.grid_time_us).cast(TIME),
        "created": pa.array(flow.time_us[rows.closing]).cast(TIME),
        "trade_offset": pa.array(flow.offset[rows.closing]),
    }
    reals = rows.reals(MICROSTRUCTURE_V1)
    for name, values in zip(MICROSTRUCTURE_V1.columns, reals, strict=True):
        table[name] = pa.array(values, mask=np.isnan(values))
    return pa.table(table)
