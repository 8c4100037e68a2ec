"""The genesis: its canonical hash, its checks, and the deployment the product ships with."""

from hashlib import blake2b
from typing import Final

import msgspec

from services.domain.amounts import BPS, QUANTITY_MAX
from services.domain.codes import TIME_FROM_LOG, TIME_SOURCE_NAMES
from services.domain.controls import Genesis, Instrument
from services.domain.ids import TICKER_LENGTH_MAX, is_valid_id

TICKERS: Final = ("AAPL", "MSFT", "GOOGL", "TSLA", "NVDA")
"""The tickers of the shipped genesis; each one's index is its partition."""


def hash_genesis(genesis: Genesis) -> str:
    """Hexadecimal BLAKE2b-256 of the genesis' canonical bytes."""
    return blake2b(msgspec.msgpack.encode(genesis), digest_size=32).hexdigest()


def default_genesis(deployment: str = "outcry") -> Genesis:
    """The genesis of `outcry up`: five tickers, log time, limits sized for 2 cores and 24 GiB."""
    instruments = tuple(
        Instrument(
            ticker=ticker,
            partition=partition,
            tick=100,
            sub_dollar_tick=1,
            lot=1,
            price_collar_bps=2_000,
            market_band_bps=500,
            spread_limit=20_000,
            order_quantity_max=1_000_000,
        )
        for partition, ticker in enumerate(TICKERS)
    )
    return Genesis(
        client_command_id="genesis",
        deployment=deployment,
        time_source=TIME_FROM_LOG,
        instruments=instruments,
        account_partitions=4,
        mark_interval_us=100_000,
        remember_ended_us=600_000_000,
        accounts_max=100_000,
        live_orders_max=10_000,
        remembered_max=3_000_000,
        book_orders_max=2_000_000,
        sweep_orders_max=10_000,
    )


def find_genesis_fault(genesis: Genesis, ticker_partitions: int, account_partitions: int) -> str:
    """Why this genesis can't be used on topics with these partition counts; empty if it can."""
    tickers = [instrument.ticker for instrument in genesis.instruments]
    places = [instrument.partition for instrument in genesis.instruments]
    checks = (
        (is_valid_id(genesis.client_command_id), "client_command_id is not a valid id"),
        (genesis.time_source in TIME_SOURCE_NAMES, "time_source is neither 0 nor 1"),
        (0 < len(tickers) <= ticker_partitions, f"it needs 1 to {ticker_partitions} instruments"),
        (len(set(tickers)) == len(tickers), "a ticker occurs twice"),
        (len(set(places)) == len(places), "two tickers share a partition"),
        (all(0 <= p < ticker_partitions for p in places), "a partition is out of range"),
        (
            genesis.account_partitions == account_partitions,
            f"account_partitions is not the topic's {account_partitions}",
        ),
        (genesis.mark_interval_us >= 0, "mark_interval_us is negative"),
        (genesis.remember_ended_us >= 0, "remember_ended_us is negative"),
        (
            min(
                genesis.accounts_max,
                genesis.live_orders_max,
                genesis.remembered_max,
                genesis.book_orders_max,
                genesis.sweep_orders_max,
            )
            > 0,
            "a table size is not positive",
        ),
        *((not find_instrument_fault(i), find_instrument_fault(i)) for i in genesis.instruments),
    )
    return next((fault for holds, fault in checks if not holds), "")


def find_instrument_fault(instrument: Instrument) -> str:
    """Why this instrument's rules make no sense; empty if they do."""
    checks = (
        (
            is_valid_id(instrument.ticker)
            and len(instrument.ticker) <= TICKER_LENGTH_MAX
            and "-" not in instrument.ticker,
            "is not a ticker",
        ),
        (instrument.tick > 0, "tick is not positive"),
        (instrument.sub_dollar_tick > 0, "sub_dollar_tick is not positive"),
        (instrument.lot > 0, "lot is not positive"),
        (instrument.price_collar_bps >= 0, "price_collar_bps is negative"),
        (0 <= instrument.market_band_bps < BPS, "market_band_bps is not in 0..9999"),
        (instrument.spread_limit >= 0, "spread_limit is negative"),
        (0 < instrument.order_quantity_max <= QUANTITY_MAX, "order_quantity_max is out of range"),
    )
    return next((f"{instrument.ticker}: {fault}" for holds, fault in checks if not holds), "")
