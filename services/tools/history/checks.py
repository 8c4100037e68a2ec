"""The rules about one row of trades or bars: text in, typed rows out. Nothing is written here."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.tools.history.report import Report
from services.tools.history.sieve import NULL_INT, Sieve, read_price, read_tickers, read_times
from services.tools.history.source import Asked, Chunk
from services.tools.history.times import Clock
from services.tools.history.values import (
    parse_given,
    parse_integers,
    parse_prices,
    parse_sides,
    parse_split,
)

_MINUTE_US: Final = 60_000_000
_DAY_US: Final = 86_400_000_000
_NO_TEXT: Final = pa.scalar(None, pa.string())


def check_trades(chunk: Chunk, asked: Asked, clock: Clock, report: Report) -> "pa.Table":
    """The rows of a chunk of trades that pass, typed."""
    sieve = Sieve(chunk, report)
    tickers = read_tickers(sieve, asked)
    times = read_times(sieve, clock)
    price = read_price(sieve, "price", asked, rounds=asked.round_prices)
    quantity = parse_integers(sieve.text("quantity"))
    sieve.refuse("bad_quantity", pc.invert(pc.greater(quantity, 0)), sieve.text("quantity"))
    side = parse_sides(sieve.text("side"))
    sieve.refuse("bad_side", pc.is_null(side), sieve.text("side"))
    sequence, is_bad = _optional_integers(sieve.text("sequence"))
    sieve.refuse("bad_sequence", is_bad, sieve.text("sequence"))
    quotes = _read_quotes(sieve, asked)
    trade_id = pc.utf8_trim_whitespace(sieve.text("trade_id"))
    return sieve.taken(
        {
            "ticker": tickers,
            "time_us": times.time_us,
            "given_sequence": sequence,
            "price": price,
            "quantity": quantity,
            "aggressor_side": side,
            **quotes,
            "trade_id": pc.if_else(pc.equal(trade_id, ""), _NO_TEXT, trade_id),
        }
    )


def check_bars(chunk: Chunk, asked: Asked, clock: Clock, report: Report) -> "pa.Table":
    """The rows of a chunk of bars that pass, typed; `written_us` is the time without offset."""
    sieve = Sieve(chunk, report)
    tickers = read_tickers(sieve, asked)
    times = read_times(sieve, clock)
    if asked.interval != "1d":
        grid = pc.multiply(pc.divide(times.written_us, _MINUTE_US), _MINUTE_US)
        text = sieve.text("time" if "time" in sieve.columns else "date")
        sieve.refuse("off_grid", pc.not_equal(grid, times.written_us), text)
    prices = {
        name: read_price(sieve, name, asked, rounds=True)
        for name in ("open", "high", "low", "close")
    }
    volume = parse_integers(sieve.text("volume"))
    sieve.refuse("bad_volume", pc.is_null(volume), sieve.text("volume"))
    sieve.refuse("negative_volume", pc.less(volume, 0), sieve.text("volume"))
    _refuse_impossible(sieve, prices)
    given = _read_given(sieve)
    return sieve.taken(
        {
            "ticker": tickers,
            "time_us": times.time_us,
            "written_us": times.written_us,
            **prices,
            "volume": volume,
            **given,
        }
    )


def _refuse_impossible(sieve: Sieve, prices: "dict[str, pa.Array]") -> None:
    low, high = prices["low"], prices["high"]
    shown = pc.binary_join_element_wise(
        *(sieve.text(name) for name in ("open", "high", "low", "close")), ","
    )
    sieve.refuse("high_below_low", pc.less(high, low), shown)
    for name in ("open", "close"):
        outside = pc.or_(pc.less(prices[name], low), pc.greater(prices[name], high))
        sieve.refuse(f"{name}_outside_range", outside, shown)


def _read_given(sieve: Sieve) -> "dict[str, pa.Array]":
    found: dict[str, pa.Array] = {}
    for name in ("adjusted_close", "dividend"):
        text = sieve.text(name)
        found[name], is_bad = parse_given(text)
        sieve.refuse("bad_given", is_bad, text)
    text = sieve.text("split")
    coded = text.dictionary_encode()
    ratios = [parse_split(split) for split in coded.dictionary.to_pylist()]
    is_bad = pa.array([ratio is None for ratio in ratios], pa.bool_()).take(coded.indices)
    sieve.refuse("bad_given", is_bad.fill_null(False), text)
    for place, name in enumerate(("split_to", "split_from")):
        listed = [None if ratio in {None, (1, 1)} else ratio[place] for ratio in ratios]
        found[name] = pa.array(listed, pa.int64()).take(coded.indices)
    return found


def _read_quotes(sieve: Sieve, asked: Asked) -> "dict[str, pa.Array]":
    """Quotes as far as they make sense; otherwise none of the row's."""
    found: dict[str, pa.Array] = {}
    is_bad = pa.array([False] * len(sieve.rows))
    for side in ("bid", "ask"):
        price_text, size_text = sieve.text(side), sieve.text(f"{side}_quantity")
        prices = parse_prices(price_text, asked.units_per_dollar)
        found[side] = prices.values
        found[f"{side}_quantity"], is_odd = _optional_integers(size_text)
        is_bad = pc.or_(is_bad, pc.or_(is_odd, prices.finer))
        is_bad = pc.or_(is_bad, pc.and_(_is_told(price_text), pc.is_null(prices.values)))
    for values in found.values():
        is_bad = pc.or_(is_bad, pc.less(values, 0).fill_null(False))
    both = pc.and_(pc.greater(found["bid"], 0), pc.greater(found["ask"], 0))
    crosses = pc.and_(both, pc.greater_equal(found["bid"], found["ask"]))
    is_bad = pc.or_(is_bad, crosses.fill_null(False))
    shown = pc.binary_join_element_wise(
        sieve.text("bid").fill_null(""), sieve.text("ask").fill_null(""), " / "
    )
    sieve.repair("quote_dropped", is_bad, shown)
    return {name: pc.if_else(is_bad, NULL_INT, values) for name, values in found.items()}


def _optional_integers(text: "pa.Array") -> "tuple[pa.Array, pa.Array]":
    """Whole numbers where there is text, and where the text is none."""
    values = parse_integers(text)
    return values, pc.and_(_is_told(text), pc.is_null(values))


def _is_told(text: "pa.Array") -> "pa.Array":
    return pc.not_equal(pc.utf8_trim_whitespace(text), "").fill_null(False)
