"""What the lake's files hold. Money is in 1/10000 dollar, times are UTC, both to the last digit.

Each file carries its kind and format in its metadata, so that another's Parquet is told apart.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from services.lake.errors import LakeError

FORMAT: Final = 1
"""Of every file of the lake. Whoever changes a schema raises it and says how old files are read."""

KIND_KEY: Final = b"outcry.kind"
FORMAT_KEY: Final = b"outcry.format"
ORIGIN_KEY: Final = b"outcry.origin"

TIME: Final = pa.timestamp("us", tz="UTC")
GIVEN: Final = pa.decimal128(38, 18)
"""A decimal as a file gave it."""


def _schema(kind: str, fields: "list[tuple[str, pa.DataType, bool]]") -> "pa.Schema":
    metadata = {KIND_KEY: kind.encode(), FORMAT_KEY: str(FORMAT).encode()}
    return pa.schema([pa.field(n, t, nullable=null) for n, t, null in fields], metadata=metadata)


TRADES: Final = _schema(
    "trades",
    [
        ("ticker", pa.string(), False),
        ("time", TIME, False),
        ("sequence", pa.int64(), False),  # orders the trades of one microsecond
        ("price", pa.int64(), False),
        ("quantity", pa.int64(), False),
        ("aggressor_side", pa.int8(), False),  # 1 buy, -1 sell, 0 not told
        ("bid", pa.int64(), True),  # the top of book right after the trade; 0: an empty side
        ("bid_quantity", pa.int64(), True),  # null, here and below: not told
        ("ask", pa.int64(), True),
        ("ask_quantity", pa.int64(), True),
        ("trade_id", pa.string(), True),
    ],
)
"""Sorted by time and sequence."""

ORDERS: Final = _schema(
    "orders",
    [
        ("ticker", pa.string(), False),
        ("time", TIME, False),
        ("command", pa.int8(), False),  # 1 place, 2 reduce, 3 cancel
        ("command_id", pa.string(), False),
        ("order_id", pa.string(), False),  # of the order that is placed, reduced or canceled
        ("side", pa.int8(), False),  # and below: 0 unless it is placed
        ("time_in_force", pa.int8(), False),
        ("price", pa.int64(), False),
        ("quantity", pa.int64(), False),  # placed, or the total that a reduction leaves
    ],
)
"""In the order in which the commands were given."""

BARS: Final = _schema(
    "bars",
    [
        ("ticker", pa.string(), False),
        ("time", TIME, False),  # where the bar begins; of a daily one midnight of its date
        ("open", pa.int64(), False),
        ("high", pa.int64(), False),
        ("low", pa.int64(), False),
        ("close", pa.int64(), False),
        ("volume", pa.int64(), False),
        ("adjusted_close", GIVEN, True),  # dollars
        ("dividend", GIVEN, True),  # dollars a share
        ("split_to", pa.int64(), True),  # a split of 3:2 is to 3 from 2; null: none
        ("split_from", pa.int64(), True),
    ],
)
"""Sorted by time."""


def feature_schema(names: Sequence[str]) -> "pa.Schema":
    """Of the rows of a feature set with these features."""
    fields = [
        ("ticker", pa.string(), False),
        ("event_timestamp", TIME, False),  # grid time
        ("created", TIME, False),  # the closing trade's time
        ("processed", TIME, True),  # the row's first time stamp in Kafka; null in a backfill
        ("trade_offset", pa.int64(), False),
        ("fingerprint", pa.dictionary(pa.int32(), pa.string()), False),
        *((name, pa.float64(), True) for name in names),
    ]
    return _schema("features", fields)


def kind_of(schema: "pa.Schema") -> str:
    """The kind that a file's metadata states, if this version can read it.

    Raises:
        LakeError: it is not the lake's, or of another format.
    """
    metadata = schema.metadata or {}
    if KIND_KEY not in metadata:
        raise LakeError("it was not written by Outcry")
    if metadata.get(FORMAT_KEY) != str(FORMAT).encode():
        found = metadata.get(FORMAT_KEY, b"none").decode(errors="replace")
        raise LakeError(f"it has format {found} and this version reads {FORMAT}")
    return str(metadata[KIND_KEY].decode())
