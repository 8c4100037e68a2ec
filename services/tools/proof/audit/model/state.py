"""Snapshot format 1, as documented, and the two hashes that stand on the same encoding.

A state is one MessagePack array; strings, ints, booleans, bytes, arrays and nil alone.

Risk: [partition, genesis or nil, arrivals, departures, time, marks, accounts, ended]
  marks      a ticker's mark (0: none), in genesis order
  accounts   by name: [name, sequence, killed, short allowed, position limit, notional limit,
             exposure limit, holdings, live orders]
  holdings   in genesis order, those with a position or a limit of their own: [ticker, position,
             position limit, notional limit]; a limit of -1 is the account's
  live       in order of entry
  ended      what is remembered of what ended, oldest first: orders and done commands
An order: [0, account, order id, client order id, ticker, side, order type, time in force,
  post-only, self-trade prevention, price and quantity as submitted, price and quantity now, value
  of a share, status, offset of its acceptance, command that last sent it into the book, reason,
  reserved shares, reserved money, filled shares, money of its fills, time it ended, acceptance or
  nil, pending replace or nil]
  acceptance: [W, E, exposure, mark], until NEW was said
  pending:    [command id, new total, value of a share, offset of its acceptance]
A done command: [1, account, command id, order id, digest, time]

Matcher: [partition, genesis or nil, arrivals, departures, time, status, last price, mark not yet
  sent, when it may be sent, bids, asks]
  bids, asks in the order in which they would trade: [order id, account, price, quantity, filled,
             post-only, self-trade prevention]

arrivals   by source: [topic number, partition, offset, index, sequence]
departures by destination: [topic, partition, messages sent]
genesis    a map with its schema's names in its schema's order, instruments likewise

The genesis' hash is BLAKE2b-256 of that map. A command's digest is BLAKE2b-128 of its record's name
and the map of its fields, by which a command sent again is known for the same.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.msgpack.Encoder()

_GENESIS: Final = (
    "client_command_id",
    "deployment",
    "time_source",
    "instruments",
    "account_partitions",
    "mark_interval_us",
    "remember_ended_us",
    "accounts_max",
    "live_orders_max",
    "remembered_max",
    "book_orders_max",
    "sweep_orders_max",
)
_INSTRUMENT: Final = (
    "ticker",
    "partition",
    "tick",
    "sub_dollar_tick",
    "lot",
    "price_collar_bps",
    "market_band_bps",
    "spread_limit",
    "order_quantity_max",
)
_FIELDS: Final = {
    "CancelOrder": ("account", "client_command_id", "order_id"),
    "ReduceOrder": ("account", "client_command_id", "order_id", "quantity"),
    "ReplaceOrder": ("account", "client_command_id", "order_id", "price", "quantity"),
    "CancelAll": ("account", "client_command_id", "ticker"),
    "OpenAccount": (
        "client_command_id",
        "account",
        "position_max",
        "notional_max",
        "exposure_max",
        "short_allowed",
    ),
    "Deposit": ("client_command_id", "account", "ticker", "quantity"),
    "SetLimits": (
        "client_command_id",
        "account",
        "ticker",
        "position_max",
        "notional_max",
        "exposure_max",
        "short_allowed",
    ),
    "KillSwitch": ("client_command_id", "account", "engaged"),
}
"""The commands that are remembered by digest, with their fields in the schema's order."""


def encode_state(rows: list[Any]) -> bytes:
    """A state's bytes."""
    return _ENCODER.encode(rows)


def decode_state(state: bytes, length: int) -> list[Any]:
    """A state's rows.

    Raises:
        ValueError: these bytes are no state of so many parts.
    """
    try:
        rows = msgspec.msgpack.decode(state)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"no state of format 1: {error}"
        raise ValueError(msg) from error
    if not isinstance(rows, list) or len(rows) != length:
        msg = f"no state of format 1: not an array of {length} parts"
        raise ValueError(msg)
    return rows


def plain_genesis(fields: dict[str, Any]) -> dict[str, Any]:
    """A genesis without its origin, in its schema's order."""
    genesis = {name: fields[name] for name in _GENESIS}
    genesis["instruments"] = [
        {name: instrument[name] for name in _INSTRUMENT} for instrument in fields["instruments"]
    ]
    return genesis


def hash_genesis(genesis: dict[str, Any]) -> str:
    """Hexadecimal, of a plain genesis."""
    return blake2b(_ENCODER.encode(genesis), digest_size=32).hexdigest()


def digest_command(record: str, fields: dict[str, Any]) -> bytes:
    """What a command says, without where it came from."""
    said = {name: fields[name] for name in _FIELDS[record]}
    return blake2b(record.encode() + _ENCODER.encode(said), digest_size=16).digest()
