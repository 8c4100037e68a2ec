"""microstructure_v1 as one would write it in DuckDB: window functions and as-of joins."""

from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from services.tools.bench.feature_flow import FIELDS
from services.tools.vectorfold.columns import TradeColumns

_TILES: Final = """
with moved as (
    select *, time_us // 1000000 as second,
        case when bid >= lag(bid) over w then bid_quantity else 0 end
        - case when bid <= lag(bid) over w then lag(bid_quantity) over w else 0 end
        - case when ask <= lag(ask) over w then ask_quantity else 0 end
        + case when ask >= lag(ask) over w then lag(ask_quantity) over w else 0 end as flow
    from trades window w as (partition by ticker order by "offset")
), summed as (
    select ticker, second, max(time_us) as time_us, arg_max(price, "offset") as price,
        arg_max(bid, "offset") as bid, arg_max(bid_quantity, "offset") as bid_quantity,
        arg_max(ask, "offset") as ask, arg_max(ask_quantity, "offset") as ask_quantity,
        count(*) as trades, sum(quantity)::bigint as volume,
        sum(side * quantity)::bigint as signed, sum(price * quantity)::bigint as notional,
        sum(flow)::bigint as flow
    from moved group by ticker, second
), changed as (
    select *, coalesce((price / lag(price) over w - 1) ** 2, 0) as square,
        lead(second) over w - second as gap
    from summed window w as (partition by ticker order by second)
)
select * exclude (trades, volume, signed, notional, flow, square),
    (sum(trades) over w)::bigint as trades, (sum(volume) over w)::bigint as volume,
    (sum(signed) over w)::bigint as signed, (sum(notional) over w)::bigint as notional,
    (sum(flow) over w)::bigint as flow, sum(square) over w as squares
from changed
window w as (partition by ticker order by second rows unbounded preceding)
"""

_ROWS: Final = """
with grid as (
    select *, second + step as "at" from (
        select *, unnest(case when gap > 120
            then list_append(range(1, 121), gap) else range(1, gap + 1) end) as step
        from tiles where gap is not null
    )
)
select g.ticker, g."at",
    g.price / a.price - 1 as return_1s, g.price / b.price - 1 as return_5s,
    g.price / c.price - 1 as return_30s, g.price / d.price - 1 as return_60s,
    sqrt(if(g.squares < d.squares, 0, g.squares - d.squares)) as realised_volatility_60s,
    (g.trades - b.trades) / 5 as trade_intensity_5s,
    (g.trades - d.trades) / 60 as trade_intensity_60s,
    g.signed - b.signed as signed_volume_5s, g.signed - d.signed as signed_volume_60s,
    g.flow - b.flow as order_flow_imbalance_at_trades_5s,
    g.flow - d.flow as order_flow_imbalance_at_trades_60s,
    (g.ask - g.bid) / 10000 as spread,
    (g.bid_quantity - g.ask_quantity) / (g.bid_quantity + g.ask_quantity) as queue_imbalance,
    (g.ask - g.bid) / 20000 * (g.bid_quantity - g.ask_quantity)
        / (g.bid_quantity + g.ask_quantity) as microprice_minus_mid,
    g.price / nullif((g.notional - d.notional) / nullif(g.volume - d.volume, 0), 0) - 1
        as vwap_distance_60s,
    g."at" - g.time_us / 1000000 as time_since_last_trade,
    (g.bid + g.ask) / 20000 as mid
from grid g
asof left join tiles a on g.ticker = a.ticker and g."at" - 1 > a.second
asof left join tiles b on g.ticker = b.ticker and g."at" - 5 > b.second
asof left join tiles c on g.ticker = c.ticker and g."at" - 30 > c.second
asof left join tiles d on g.ticker = d.ticker and g."at" - 60 > d.second
"""


def duckdb_trades(ticker: np.ndarray, trades: TradeColumns) -> duckdb.DuckDBPyConnection:
    """The input in a table of its own, before the clock starts; one thread."""
    connection = duckdb.connect(config={"threads": 1})
    given = pa.table({"ticker": ticker, **dict(zip(FIELDS, trades, strict=True))})
    connection.register("given", given)
    connection.execute("create table trades as select * from given")
    return connection


def duckdb_features(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Rows by ticker and grid second."""
    connection.execute(f"create or replace temp table tiles as {_TILES}")
    return connection.sql(_ROWS).to_arrow_table()
