"""A set's features as they were known at given times: what models are trained on."""

from typing import Any, Final

import duckdb
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.errors import LakeError
from services.lake.places import Lake
from services.lake.reading import open_duckdb

LABELS: Final = pa.schema([("ticker", pa.string()), ("time_us", pa.int64())])
"""What is asked for: a ticker, and a time in microseconds since the Unix epoch."""


def features_as_of(lake: Lake, feature_set: FeatureSet[Any], labels: "pa.Table") -> "pa.Table":
    """Of each label the newest row of its ticker whose grid time is not after its time.

    A row knows the trades before its grid time, so nothing at or after a label's time gets in.
    Rows of other definitions of the set don't count. The answer has the labels' columns and order,
    then `grid_time_us` (null: no row is that old) and one column a feature, null where it is not
    defined.

    Raises:
        LakeError: a file is damaged or another's.
    """
    wanted = {f"ticker={ticker}" for ticker in labels.column("ticker").unique().to_pylist()}
    files = [
        str(path)
        for path, _ in lake.feature_files(feature_set.name)
        if path.parent.parent.name in wanted
    ]
    if not files:
        nothing = [("grid_time_us", pa.int64()), *((n, pa.float64()) for n in feature_set.columns)]
        schema = pa.schema([*LABELS, *(pa.field(name, kind) for name, kind in nothing)])
        empty = [pa.nulls(labels.num_rows, kind) for _, kind in nothing]
        given = [labels.column(name).cast(LABELS.field(name).type) for name in LABELS.names]
        return pa.table([*given, *empty], schema=schema)
    return _joined(files, feature_set, labels)


def _joined(files: list[str], feature_set: FeatureSet[Any], labels: "pa.Table") -> "pa.Table":
    columns = ", ".join(f'f."{name}"' for name in feature_set.columns)
    with open_duckdb() as connection:
        try:
            connection.register("labels", labels.select(LABELS.names).cast(LABELS))
            rows = connection.read_parquet(files, hive_partitioning=False)
            rows.create_view("rows")
            return connection.sql(
                "SELECT l.ticker, l.time_us, f.grid_time_us, "  # noqa: S608 - names of features
                f"{columns} FROM (SELECT *, row_number() OVER () AS place FROM labels) l"
                " ASOF LEFT JOIN (SELECT *, epoch_us(event_timestamp) AS grid_time_us FROM rows"
                " WHERE fingerprint = ?) f"
                " ON l.ticker = f.ticker AND l.time_us >= f.grid_time_us ORDER BY l.place",
                params=[fingerprint(feature_set)],
            ).to_arrow_table()
        except duckdb.Error as error:
            line = (str(error).splitlines() or ["?"])[0][:200]
            raise LakeError(f"the lake's rows can't be joined: {line}") from error
