"""What the recorder wrote to PostgreSQL, read for people. Every function is one query or two."""

from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg import sql
from psycopg.rows import dict_row

from services.domain.codes import EXEC_TRADE
from services.tools.operate.errors import UnknownError

if TYPE_CHECKING:
    from psycopg import Connection

type Row = dict[str, Any]

_BOOKKEEPING: Final = ("deployment_id", "source_topic", "source_partition", "source_index")
"""Columns that tell people nothing."""


class OrderLife(msgspec.Struct, frozen=True):
    """All that is recorded about one order, each list in order of time."""

    order_id: str
    submissions: list[Row]
    """More than one if it was sent again."""
    requests: list[Row]
    """Cancels and amendments that name it."""
    executions: list[Row]
    trades: list[Row]


def latest_account_states(database: "Connection", deployment: str) -> list[Row]:
    """Each account's newest limits and state, by account name, with its positions of now."""
    states = _rows(
        database,
        """
        SELECT DISTINCT ON (account) s.* FROM outcry.account_states s
        JOIN outcry.deployments USING (deployment_id)
        WHERE deployment = %(deployment)s
        ORDER BY account, account_sequence DESC
        """,
        deployment=deployment,
    )
    # An array compares by its first element first, so the highest holds the newest position.
    traded = _rows(
        database,
        """
        SELECT account, ticker, max(ARRAY[account_sequence, position]) AS newest
        FROM (
            SELECT deployment_id, account, ticker, account_sequence, position
            FROM outcry.executions WHERE exec_type = %(trade)s
            UNION ALL
            SELECT deployment_id, account, ticker, account_sequence, position
            FROM outcry.carried_positions
        ) AS traded JOIN outcry.deployments USING (deployment_id)
        WHERE deployment = %(deployment)s
        GROUP BY account, ticker
        """,
        deployment=deployment,
        trade=EXEC_TRADE,
    )
    newest = {(row["account"], row["ticker"]): row["newest"] for row in traded}
    for state in states:
        _bring_up_to_date(state, newest)
    return states


def _bring_up_to_date(state: Row, newest: dict[tuple[str, str], list[int]]) -> None:
    held = {part["ticker"]: part for part in state["tickers"]}
    for (account, ticker), (sequence, position) in sorted(newest.items()):
        if account == state["account"] and sequence > state["account_sequence"]:
            limits = {name: state[name] for name in ("position_max", "notional_max")}
            part = held.setdefault(ticker, {"ticker": ticker, "position": 0, **limits})
            part["position"] = position
    state["tickers"] = list(held.values())


def read_order(database: "Connection", deployment: str, order_id: str) -> OrderLife:
    """One order's life.

    Raises:
        UnknownError: nothing is recorded under this id.
    """
    submissions = _about_order(database, "orders", deployment, order_id)
    if not submissions:
        raise UnknownError(
            f"no order {order_id[:80]!r} is recorded in deployment {deployment}: "
            "`outcry order place` prints the id of an order"
        )
    requests = [
        *_about_order(database, "cancels", deployment, order_id),
        *_about_order(database, "amendments", deployment, order_id),
    ]
    # The account leads the index of the largest table.
    account = submissions[0]["account"]
    executions = _rows(
        database,
        """
        SELECT e.* FROM outcry.executions e JOIN outcry.deployments USING (deployment_id)
        WHERE deployment = %(deployment)s AND account = %(account)s AND order_id = %(order_id)s
        ORDER BY account_sequence
        """,
        deployment=deployment,
        account=account,
        order_id=order_id,
    )
    return OrderLife(
        order_id,
        submissions,
        sorted(requests, key=lambda row: (row["log_time"], row["offset"])),
        executions,
        _trades_of(database, deployment, executions),
    )


def _about_order(database: "Connection", table: str, deployment: str, order_id: str) -> list[Row]:
    query = sql.SQL(
        """
        SELECT t.* FROM outcry.{} t JOIN outcry.deployments USING (deployment_id)
        WHERE deployment = %(deployment)s AND order_id = %(order_id)s
        ORDER BY log_time, t.partition, t."offset"
        """
    ).format(sql.Identifier(table))
    return _rows(database, query, deployment=deployment, order_id=order_id)


def _trades_of(database: "Connection", deployment: str, executions: list[Row]) -> list[Row]:
    """By ticker and time, which the trades are indexed by; one order has few of them."""
    fills = [row for row in executions if row["trade_id"]]
    if not fills:
        return []
    return _rows(
        database,
        """
        SELECT t.* FROM outcry.trades t JOIN outcry.deployments USING (deployment_id)
        WHERE deployment = %(deployment)s AND ticker = %(ticker)s
          AND trade_id = ANY(%(trade_ids)s)
        ORDER BY log_time, t.partition, t."offset"
        """,
        deployment=deployment,
        ticker=fills[0]["ticker"],
        trade_ids=[row["trade_id"] for row in fills],
    )


def _rows(database: "Connection", query: Any, **values: object) -> list[Row]:  # noqa: ANN401
    with database.cursor(row_factory=dict_row) as cursor:
        rows: list[Row] = cursor.execute(query, values).fetchall()
    return [{name: row[name] for name in row if name not in _BOOKKEEPING} for row in rows]
