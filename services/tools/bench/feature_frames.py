"""microstructure_v1 as one would write it in pandas and in Polars: floats, tiles and as-of joins.

Both go the way that is fastest in them: trades to tiles of a second, running totals, the grid,
and for each window one as-of join to the last tile before it.
"""

from typing import Final

import numpy as np
import pandas as pd
import polars as pl

from services.tools.bench.feature_flow import FIELDS
from services.tools.vectorfold.columns import TradeColumns

WINDOWS_S: Final = (1, 5, 30, 60)
TOTALS: Final = ("trades", "volume", "signed", "notional", "flow", "squares")
_SILENCE_S: Final = 120


def pandas_frame(ticker: np.ndarray, trades: TradeColumns) -> pd.DataFrame:
    """The input, before the clock starts."""
    return pd.DataFrame({"ticker": ticker, **dict(zip(FIELDS, trades, strict=True))})


def pandas_features(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows by ticker and grid second."""
    old = frame.groupby("ticker")[["bid", "bid_quantity", "ask", "ask_quantity"]].shift()
    frame = frame.assign(
        second=frame.time_us // 1_000_000,
        signed=frame.side * frame.quantity,
        notional=frame.price * frame.quantity,
        flow=frame.bid_quantity.where(frame.bid >= old.bid, 0)
        - old.bid_quantity.where(frame.bid <= old.bid, 0)
        - frame.ask_quantity.where(frame.ask <= old.ask, 0)
        + old.ask_quantity.where(frame.ask >= old.ask, 0),
    )
    frame["flow"] = frame.flow.where(old.bid.notna(), 0)
    by_second = frame.groupby(["ticker", "second"], sort=False)
    last = by_second[["time_us", "price", "bid", "bid_quantity", "ask", "ask_quantity"]].last()
    sums = by_second.agg(
        trades=("price", "size"), volume=("quantity", "sum"), signed=("signed", "sum"),
        notional=("notional", "sum"), flow=("flow", "sum"),
    )  # fmt: skip
    tiles = last.join(sums).reset_index()
    change = tiles.price / tiles.groupby("ticker").price.shift() - 1
    tiles["squares"] = (change**2).fillna(0)
    tiles[list(TOTALS)] = tiles.groupby("ticker")[list(TOTALS)].cumsum()
    return _pandas_rows(_pandas_grid(tiles), tiles)


def _pandas_grid(tiles: pd.DataFrame) -> pd.DataFrame:
    following = tiles.groupby("ticker").second.shift(-1)
    gaps = (following - tiles.second).fillna(0).astype("int64")
    points = gaps.clip(upper=_SILENCE_S) + (gaps > _SILENCE_S)
    grid = tiles.assign(following=following).loc[tiles.index.repeat(points)]
    step = grid.groupby(level=0).cumcount() + 1
    at = (grid.second + step).where(step <= _SILENCE_S, grid.following).astype("int64")
    return grid.assign(at=at).sort_values("at", kind="stable")


def _pandas_rows(grid: pd.DataFrame, tiles: pd.DataFrame) -> pd.DataFrame:
    known = tiles[["ticker", "second", "price", *TOTALS]].sort_values("second", kind="stable")
    out = grid[["ticker", "at"]].reset_index(drop=True)
    grid = grid.reset_index(drop=True)
    window: dict[int, pd.DataFrame] = {}
    for window_s in WINDOWS_S:
        left = pd.DataFrame({"ticker": grid.ticker, "second": grid["at"] - window_s})
        window[window_s] = pd.merge_asof(
            left, known, on="second", by="ticker", allow_exact_matches=False
        )
        out[f"return_{window_s}s"] = grid.price / window[window_s].price - 1
    w5, w60 = window[5], window[60]
    out["realised_volatility_60s"] = (grid.squares - w60.squares).clip(lower=0) ** 0.5
    for name, total, scale in (
        ("trade_intensity", "trades", True),
        ("signed_volume", "signed", False),
        ("order_flow_imbalance_at_trades", "flow", False),
    ):
        for window_s, before in ((5, w5), (60, w60)):
            grown = grid[total] - before[total]
            out[f"{name}_{window_s}s"] = grown / window_s if scale else grown
    both = grid.bid_quantity + grid.ask_quantity
    out["spread"] = (grid.ask - grid.bid) / 10_000
    out["queue_imbalance"] = (grid.bid_quantity - grid.ask_quantity) / both
    out["microprice_minus_mid"] = out.spread / 2 * out.queue_imbalance
    vwap = (grid.notional - w60.notional) / (grid.volume - w60.volume)
    out["vwap_distance_60s"] = grid.price / vwap - 1
    out["time_since_last_trade"] = grid["at"] - grid.time_us / 1_000_000
    out["mid"] = (grid.bid + grid.ask) / 20_000
    return out


def polars_frame(ticker: np.ndarray, trades: TradeColumns) -> pl.DataFrame:
    """The input, before the clock starts."""
    return pl.DataFrame({"ticker": ticker, **dict(zip(FIELDS, trades, strict=True))})


def polars_features(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows by ticker and grid second."""
    old = {name: pl.col(name).shift().over("ticker") for name in ("bid", "bid_quantity")}
    old |= {name: pl.col(name).shift().over("ticker") for name in ("ask", "ask_quantity")}
    zero = pl.lit(0)
    flow = (
        pl.when(pl.col("bid") >= old["bid"]).then(pl.col("bid_quantity")).otherwise(zero)
        - pl.when(pl.col("bid") <= old["bid"]).then(old["bid_quantity"]).otherwise(zero)
        - pl.when(pl.col("ask") <= old["ask"]).then(pl.col("ask_quantity")).otherwise(zero)
        + pl.when(pl.col("ask") >= old["ask"]).then(old["ask_quantity"]).otherwise(zero)
    )
    tiles = (
        frame.lazy()
        .with_columns(second=pl.col("time_us") // 1_000_000, flow=flow)
        .group_by("ticker", "second", maintain_order=True)
        .agg(
            pl.col("time_us", "price", "bid", "bid_quantity", "ask", "ask_quantity").last(),
            trades=pl.len().cast(pl.Int64),
            volume=pl.col("quantity").sum(),
            signed=(pl.col("side") * pl.col("quantity")).sum(),
            notional=(pl.col("price") * pl.col("quantity")).sum(),
            flow=pl.col("flow").sum(),
        )
        .with_columns(
            squares=(pl.col("price") / pl.col("price").shift().over("ticker") - 1)
            .pow(2)
            .fill_null(0),
            gap=pl.col("second").shift(-1).over("ticker") - pl.col("second"),
        )
        .with_columns(pl.col(TOTALS).cum_sum().over("ticker"))
    ).collect()
    return _polars_rows(tiles)


def _polars_rows(tiles: pl.DataFrame) -> pl.DataFrame:
    short = pl.min_horizontal(pl.col("gap"), pl.lit(_SILENCE_S))
    steps = pl.int_ranges(1, short + 1)
    closing = pl.concat_list(pl.col("gap"))
    grid = (
        tiles.lazy()
        .filter(pl.col("gap").is_not_null())
        .with_columns(
            step=pl.when(pl.col("gap") > _SILENCE_S)
            .then(steps.list.concat(closing))
            .otherwise(steps)
        )
        .explode("step")
        .with_columns(at=pl.col("second") + pl.col("step"))
        .sort("ticker", "at")
    )
    known = tiles.lazy().select("ticker", "second", "price", *TOTALS).set_sorted("second")
    for window_s in WINDOWS_S:
        grid = grid.with_columns(start=pl.col("at") - window_s).join_asof(
            known, left_on="start", right_on="second", by="ticker", allow_exact_matches=False,
            suffix=f"_{window_s}", coalesce=False, check_sortedness=False,
        )  # fmt: skip
    col = pl.col
    both = col("bid_quantity") + col("ask_quantity")
    imbalance = (col("bid_quantity") - col("ask_quantity")) / both
    vwap = (col("notional") - col("notional_60")) / (col("volume") - col("volume_60"))
    return grid.select(
        "ticker",
        "at",
        *((col("price") / col(f"price_{w}") - 1).alias(f"return_{w}s") for w in WINDOWS_S),
        realised_volatility_60s=(col("squares") - col("squares_60")).clip(lower_bound=0).sqrt(),
        **{f"trade_intensity_{w}s": (col("trades") - col(f"trades_{w}")) / w for w in (5, 60)},
        **{f"signed_volume_{w}s": col("signed") - col(f"signed_{w}") for w in (5, 60)},
        **{f"order_flow_imbalance_at_trades_{w}s": col("flow") - col(f"flow_{w}") for w in (5, 60)},
        spread=(col("ask") - col("bid")) / 10_000,
        queue_imbalance=imbalance,
        microprice_minus_mid=(col("ask") - col("bid")) / 20_000 * imbalance,
        vwap_distance_60s=col("price") / vwap - 1,
        time_since_last_trade=col("at") - col("time_us") / 1_000_000,
        mid=(col("bid") + col("ask")) / 20_000,
    ).collect()
