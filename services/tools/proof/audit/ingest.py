"""What each record of `orders` and `controls` must have become: commands, or one dead letter."""

import re
import struct
from collections.abc import Iterable
from hashlib import sha256
from io import BytesIO
from typing import Final
from zlib import crc32

import fastavro

from services.runtime.ports import Record
from services.tools.proof.audit.json_orders import NoCommandError, read_json_command
from services.tools.proof.audit.model import Derived
from services.tools.proof.audit.schemas import HEADER_BYTES, Fields, Reader, Schemas
from services.tools.proof.audit.strict_avro import (
    BEYOND_BITS,
    StrictAvroError,
    read_record,
    resolve,
)

ACCOUNT_PARTITIONS: Final = 4
TICKER_PARTITIONS: Final = 5
SOURCE_NUMBERS: Final = {"orders": 0, "controls": 1, "accounts": 2, "matching": 3}
"""The number by which an origin names each source topic."""

_ID: Final = re.compile(r"[!-~]{1,64}")
"""Printable ASCII without a space."""
_READER: Final = re.compile(r"<[^<>]* object at 0x[0-9a-fA-F]+>")
"""How a library names what it reads from: by an address, which no two processes share."""
_TICKER: Final = re.compile(r"[!-~]{1,12}")
_EVENT_TIME_MAX_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
_HEAD_BYTES: Final = 65_536
_DETAIL_LENGTH_MAX: Final = 200
_QUANTITY_MAX: Final = 1_000_000_000
_BPS: Final = 10_000


class NotACommandError(Exception):
    """The record must be a dead letter."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail[:_DETAIL_LENGTH_MAX]


def derive_commands(schemas: Schemas, record: Record) -> list[Derived]:
    """Everything that must have been written because of one record."""
    time_us = record.timestamp_ms * 1_000
    try:
        name, fields = _read(schemas, record.topic, record.value)
        event_time_us = fields.pop("event_time_us", 0)
        _check(name, fields, event_time_us)
    except NotACommandError as error:
        return [_letter(record, time_us, error)]
    return [
        Derived(
            topic,
            partition,
            key,
            name,
            fields | {"origin": _origin(record, index, time_us, event_time_us)},
        )
        for index, (topic, partition, key) in enumerate(_destinations(name, fields))
    ]


def _origin(record: Record, index: int, time_us: int, event_time_us: int) -> Fields:
    return {
        "topic": SOURCE_NUMBERS[record.topic],
        "partition": record.partition,
        "offset": record.offset,
        "index": index,
        "sequence": 0,
        "time_us": time_us,
        "event_time_us": event_time_us,
    }


def _letter(record: Record, time_us: int, error: NotACommandError) -> Derived:
    value = record.value or b""
    number = SOURCE_NUMBERS[record.topic]
    fields = {
        "origin": _origin(record, 0, time_us, 0),
        "cause": error.cause,
        "detail": error.detail,
        "value_length_bytes": len(value),
        "value_sha256": sha256(value).hexdigest(),
        "value_head": value[:_HEAD_BYTES],
    }
    key = f"{number}-{record.partition}-{record.offset}"
    return Derived("orders.dlq", record.partition, key, "DeadLetter", fields)


# --- reading


def _read(schemas: Schemas, topic: str, value: bytes | None) -> tuple[str, Fields]:
    if not value:
        raise NotACommandError("EMPTY_VALUE", "the record has no value")
    if topic == "orders" and value.startswith(b"{"):
        try:
            return read_json_command(value)
        except NoCommandError as error:
            raise NotACommandError("INVALID_JSON", str(error)) from error
    if len(value) < HEADER_BYTES or value[0]:
        detail = f"first byte {value[0]}, {len(value)} bytes; want 0 and a schema id"
        raise NotACommandError("WRONG_MAGIC", detail)
    reader = schemas.reader(topic, value)
    if reader is None:
        schema_id = int.from_bytes(value[1:HEADER_BYTES])
        raise NotACommandError("UNKNOWN_SCHEMA", f"schema id {schema_id} is none of {topic}")
    fast = reader.read(value)
    if fast is not None:
        return reader.record, fast
    try:
        fields = read_record(reader.written, value[HEADER_BYTES:])
    except StrictAvroError as error:
        raise _complain(reader, value, error.kind) from error
    return reader.record, resolve(fields, reader.newest)


def _complain(reader: Reader, value: bytes, kind: str) -> NotACommandError:
    """A dead letter's cause and wording: of what the library itself refuses, they are its own."""
    body = BytesIO(value)
    body.seek(HEADER_BYTES)
    try:
        fastavro.schemaless_reader(body, reader.writer, None)
    except (
        EOFError,
        ValueError,
        IndexError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as error:
        text = _READER.sub("the bytes", " ".join(str(error).split())) or type(error).__name__
        return NotACommandError("MALFORMED_AVRO", text)
    if body.read(1):
        return NotACommandError("TRAILING_BYTES", f"{len(value)} bytes hold more")
    if kind == BEYOND_BITS:
        return NotACommandError("MALFORMED_AVRO", "a number is beyond the bits of its type")
    return NotACommandError("MALFORMED_AVRO", "not how Avro writes these values")


# --- bounds

_IDS: Final = {
    "PlaceOrder": (("account", "client_order_id"), "ticker"),
    "CancelOrder": (("account", "client_command_id", "order_id"), ""),
    "ReduceOrder": (("account", "client_command_id", "order_id"), ""),
    "ReplaceOrder": (("account", "client_command_id", "order_id"), ""),
    "CancelAll": (("account", "client_command_id"), "ticker"),
    "Genesis": (("client_command_id", "deployment"), ""),
    "OpenAccount": (("account", "client_command_id"), ""),
    "Deposit": (("account", "client_command_id"), "ticker"),
    "SetLimits": (("account", "client_command_id"), "ticker"),
    "SetMark": (("client_command_id",), "ticker"),
    "Halt": (("client_command_id",), "ticker"),
    "Resume": (("client_command_id",), "ticker"),
    "KillSwitch": (("account", "client_command_id"), ""),
}
"""The ids of each record, and the field with its ticker, which may be empty."""


def _check(name: str, fields: Fields, event_time_us: int) -> None:
    if not 0 <= event_time_us <= _EVENT_TIME_MAX_US:
        raise NotACommandError("INVALID_EVENT_TIME", f"{event_time_us} us is outside 1970..9999")
    ids, ticker = _IDS[name]
    for field in ids:
        text = fields[field]
        if not _ID.fullmatch(text):
            detail = f"{text[:40]!r} ({len(text)} characters) is no id"
            raise NotACommandError("INVALID_ID", detail)
    text = fields[ticker] if ticker else ""
    if text and not _TICKER.fullmatch(text):
        raise NotACommandError("INVALID_ID", f"{text[:40]!r} is no ticker")
    if name == "Genesis":
        fault = next((what for holds, what in _genesis_rules(fields) if not holds), "")
        if fault:
            raise NotACommandError("INVALID_GENESIS", fault)


def _genesis_rules(genesis: Fields) -> Iterable[tuple[bool, str]]:
    """What a genesis has to keep, in the order in which a break of it is named."""
    instruments = genesis["instruments"]
    tickers = [instrument["ticker"] for instrument in instruments]
    places = [instrument["partition"] for instrument in instruments]
    sizes = (
        "accounts_max", "live_orders_max", "remembered_max", "book_orders_max", "sweep_orders_max",
    )  # fmt: skip
    yield (
        _ID.fullmatch(genesis["client_command_id"]) is not None,
        "client_command_id is not a valid id",
    )
    yield genesis["time_source"] in (0, 1), "time_source is neither 0 nor 1"
    yield 1 <= len(tickers) <= TICKER_PARTITIONS, f"it needs 1 to {TICKER_PARTITIONS} instruments"
    yield len(tickers) == len(set(tickers)), "a ticker occurs twice"
    yield len(places) == len(set(places)), "two tickers share a partition"
    yield all(0 <= at < TICKER_PARTITIONS for at in places), "a partition is out of range"
    yield (
        genesis["account_partitions"] == ACCOUNT_PARTITIONS,
        f"account_partitions is not the topic's {ACCOUNT_PARTITIONS}",
    )
    for span in ("mark_interval_us", "remember_ended_us"):
        yield genesis[span] >= 0, f"{span} is negative"
    yield all(genesis[size] > 0 for size in sizes), "a table size is not positive"
    for instrument in instruments:
        for holds, what in _instrument_rules(instrument):
            yield holds, f"{instrument['ticker']}: {what}"


def _instrument_rules(rules: Fields) -> Iterable[tuple[bool, str]]:
    ticker = rules["ticker"]
    yield _TICKER.fullmatch(ticker) is not None and "-" not in ticker, "is not a ticker"
    for step in ("tick", "sub_dollar_tick", "lot"):
        yield rules[step] > 0, f"{step} is not positive"
    yield rules["price_collar_bps"] >= 0, "price_collar_bps is negative"
    yield 0 <= rules["market_band_bps"] < _BPS, "market_band_bps is not in 0..9999"
    yield rules["spread_limit"] >= 0, "spread_limit is negative"
    yield 0 < rules["order_quantity_max"] <= _QUANTITY_MAX, "order_quantity_max is out of range"


# --- where to

type _Places = list[tuple[str, int, str]]

_ALL_ACCOUNTS: Final = [("accounts", partition, "") for partition in range(ACCOUNT_PARTITIONS)]
_ALL_MATCHING: Final = [("matching", partition, "") for partition in range(TICKER_PARTITIONS)]
_BROADCAST: Final[dict[str, _Places]] = {
    "Genesis": _ALL_ACCOUNTS + _ALL_MATCHING,
    "SetMark": _ALL_ACCOUNTS,
    "Halt": _ALL_MATCHING,
    "Resume": _ALL_MATCHING,
}


def _destinations(name: str, fields: Fields) -> _Places:
    if name in _BROADCAST:
        return _BROADCAST[name]
    account = fields["account"]
    return [("accounts", crc32(account.encode()) % ACCOUNT_PARTITIONS, account)]
