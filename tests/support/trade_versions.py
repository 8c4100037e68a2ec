"""Other versions of the trade's schema, and trades as a writer of such a version puts them."""

import struct
from copy import deepcopy
from io import BytesIO
from typing import Any, Final

import fastavro
import msgspec

from services.domain.events import Trade
from services.domain.origin import Origin
from services.wire.schemas import newest_schema

TRADE: Final = newest_schema("trades", "Trade").schema


def with_renamed_price(*, alias: bool) -> dict[str, Any]:
    """`price` under another name."""
    schema = deepcopy(TRADE)
    for field in schema["fields"]:
        if field["name"] == "price":
            field["name"] = "trade_price"
            if alias:
                field["aliases"] = ["price"]
    return schema


def with_second_price() -> dict[str, Any]:
    """`trade_price` beside `price`, with a default: both are written while readers move."""
    schema = deepcopy(TRADE)
    doc = "Price of the trade, 1/10000 dollar; 0: only `price` says it."
    field = {"name": "trade_price", "doc": doc, "type": "long", "default": 0}
    schema["fields"].append(field)
    return schema


def encoded_by(schema: dict[str, Any], schema_id: int, origin: Origin, trade: Trade) -> bytes:
    """A trade as a writer that has this version puts it on the log."""
    record = msgspec.structs.asdict(trade) | {"origin": msgspec.structs.asdict(origin)}
    record["trade_price"] = trade.price
    body = BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), record)
    return struct.pack(">bI", 0, schema_id) + body.getvalue()
