"""What is asked of the recorder's `executions`: the last words of stretches of it.

A stretch is a range of offsets of one partition. It is found by the key of the rows, so what an
answer takes grows with the stretches and not with the record; from offset 0 on they are all of it.
"""

from collections.abc import Mapping
from typing import Final, LiteralString

import msgspec
from psycopg import sql

from services.domain.events import AccountState, ExecutionReport
from services.wire.messages import Payload

type Range = tuple[int, int]
"""The first offset, and the one behind the last."""

OFFSETS: Final = """
SELECT partition, next_offset FROM outcry.recorder_offsets
WHERE deployment = %(deployment)s AND topic = %(topic)s
"""
TOPIC_ID: Final = """
SELECT topic_id FROM outcry.topics WHERE deployment = %(deployment)s AND topic = %(topic)s
"""
DEPLOYMENT_ID: Final = """
SELECT deployment_id FROM outcry.deployments WHERE deployment = %(deployment)s
"""
DROPPED: Final = """
SELECT count(*) FROM outcry.dropped_ranges
WHERE deployment_id = %(deployment_id)s AND table_name = 'executions'
    AND last_offset >= (%(firsts)s::bigint[])[partition + 1]
"""

# An order is live if its last report with a status says so. Its first report is the first one
# after it last ended: an id may be used again, which is rare. Of orders that ended only those
# matter that were live before the stretch.
_ORDERS: Final = """
WITH orders AS (
    SELECT partition, account, order_id, max("offset") AS newest,
        min(account_sequence) AS first,
        max("offset") FILTER (WHERE order_status <> ALL(%(live)s)) AS ended
    FROM outcry.executions AS said
    WHERE {within} AND order_status <> %(no_order)s
    GROUP BY partition, account, order_id
), last_words AS (
    SELECT *, ended IS DISTINCT FROM newest AS is_live FROM orders
    WHERE ended IS DISTINCT FROM newest OR order_id = ANY(%(known)s)
)
SELECT last_words.partition AS of_partition, last_words.account AS of_account,
    last_words.order_id AS of_order, is_live, ended IS NOT NULL AS has_ended,
    CASE WHEN ended IS NULL THEN last_words.first WHEN is_live THEN (
        SELECT min(said.account_sequence) FROM outcry.executions AS said
        WHERE {within} AND said.partition = last_words.partition
            AND said.order_id = last_words.order_id AND said.account = last_words.account
            AND said.order_status <> %(no_order)s AND said."offset" > last_words.ended
    ) END AS first_sequence,
    {columns}
FROM last_words LEFT JOIN outcry.executions AS said
    ON is_live AND said.partition = last_words.partition AND said."offset" = last_words.newest
    AND {within}
"""
_HELD: Final = """
WITH newest AS (
    SELECT partition, account, ticker, exec_type = %(exec_new)s AS accepted,
        max("offset") AS "offset"
    FROM outcry.executions AS said
    WHERE {within} AND order_status <> ALL(ARRAY[%(no_order)s, %(rejected)s])
    GROUP BY partition, account, ticker, exec_type = %(exec_new)s
)
SELECT said.partition AS of_partition, {columns} FROM newest JOIN outcry.executions AS said
    ON said.partition = newest.partition AND said."offset" = newest."offset" AND {within}
"""
_STATES: Final = """
SELECT DISTINCT ON (said.partition, account) said.partition AS of_partition, {columns}
FROM outcry.account_states AS said WHERE {within}
ORDER BY said.partition, account, said."offset" DESC
"""
_SEQUENCES: Final = sql.SQL("""
SELECT partition, account, max(account_sequence) AS newest FROM (
    SELECT partition, account, account_sequence FROM outcry.executions AS said WHERE {within}
    UNION ALL
    SELECT partition, account, account_sequence FROM outcry.account_states AS said WHERE {within}
) AS numbered
GROUP BY partition, account
""")
_ORIGIN: Final = ("source_topic", "source_partition", "source_offset", "source_index", "sequence")


class Questions(msgspec.Struct, frozen=True):
    """Each brings rows of all stretches, with the partition of each."""

    orders: sql.Composed
    held: sql.Composed
    states: sql.Composed
    sequences: sql.Composed


def questions(deployment_id: int, stretches: Mapping[int, Range]) -> Questions:
    """For these stretches, by partition; at least one."""
    within = _within(deployment_id, stretches)
    return Questions(
        orders=_select(_ORDERS, ExecutionReport, within),
        held=_select(_HELD, ExecutionReport, within),
        states=_select(_STATES, AccountState, within),
        sequences=_SEQUENCES.format(within=within),
    )


def _within(deployment_id: int, stretches: Mapping[int, Range]) -> sql.Composed:
    """Reports of the stretches; an account that nobody opened has no numbers, and no state."""
    # Literals, so that the planner knows how much it is asked for.
    parts = [
        sql.SQL('said.partition = {} AND said."offset" >= {} AND said."offset" < {}').format(
            sql.Literal(partition), sql.Literal(first), sql.Literal(end)
        )
        for partition, (first, end) in stretches.items()
    ]
    return sql.SQL("said.deployment_id = {} AND said.account_sequence > 0 AND ({})").format(
        sql.Literal(deployment_id), sql.SQL(" OR ").join(parts)
    )


def _select(query: LiteralString, cls: type[Payload], within: sql.Composed) -> sql.Composed:
    columns = [*_ORIGIN, *(field.name for field in msgspec.structs.fields(cls))]
    times = [
        sql.SQL("(extract(epoch FROM said.{}) * 1000000)::bigint AS {}").format(
            sql.Identifier(name), sql.Identifier(f"{name}_us")
        )
        for name in ("log_time", "event_time")
    ]
    named = [sql.SQL("said.{}").format(sql.Identifier(name)) for name in columns]
    return sql.SQL(query).format(columns=sql.SQL(", ").join([*named, *times]), within=within)
