"""The dashboards of trading: the exchange, the pipeline behind it, and the gateway before it."""

from typing import Final

from services.tools.observe.panels import (
    Dashboard,
    Panel,
    level,
    per_second,
    per_second_or_none,
    quantile,
)

_DELAY: Final = "outcry_log_delay_seconds"
_AGE: Final = "outcry_record_age_seconds"
_DONE: Final = '{topic="executions"}'
_RECORDER: Final = '{room="recorder"}'
_GATEWAY: Final = '{room="gateway"}'

_REFUSALS: Final = per_second("outcry_rejects_total", "reason")

EXCHANGE: Final = Dashboard(
    "exchange",
    "Outcry: the exchange",
    "Is it well, and what is traded?",
    (
        Panel(
            "Records lost",
            "Numbers that a writer's sequence lacks, found within a day. Must be 0.",
            "short",
            (level("sum(max_over_time(outcry_records_missing_total[1d]))", ""),),
            is_figure=True,
        ),
        Panel(
            "Rooms that answer",
            "Share of the rooms whose metrics could be read.",
            "percentunit",
            (level('avg(up{job="outcry"})', ""),),
            is_figure=True,
        ),
        Panel(
            "Orders late",
            "Share of the last hour's reports, and of its time, without one in 0.1 s.",
            "percentunit",
            (level("outcry:order_late:ratio_rate1h", ""),),
            is_figure=True,
        ),
        Panel(
            "Order to execution report",
            "From an order's log time until its report was written.",
            "s",
            tuple(quantile(share, _DELAY, where=_DONE) for share in (0.5, 0.99, 0.999)),
        ),
        Panel(
            "Orders",
            "Submitted, each second.",
            "short",
            (per_second("outcry_orders_total", "ticker"),),
        ),
        Panel("Trades", "Each second.", "short", (per_second("outcry_trades_total", "ticker"),)),
        Panel(
            "Shares traded",
            "Each second.",
            "short",
            (per_second("outcry_traded_shares_total", "ticker"),),
        ),
        Panel(
            "Execution reports",
            "Each second, by what they say.",
            "short",
            (per_second("outcry_executions_total", "event"),),
        ),
        Panel(
            "Refusals",
            "The ten most frequent reasons, each second.",
            "short",
            (level(f"topk(10, {_REFUSALS.expression})", "reason"),),
        ),
        Panel(
            "Dead letters",
            "Records of orders and controls that could not be decoded, each second.",
            "short",
            (per_second("outcry_records_produced_total", "room", '{topic="orders.dlq"}'),),
        ),
    ),
)

PIPELINE: Final = Dashboard(
    "pipeline",
    "Outcry: the pipeline",
    "Where does an order spend its time, and who lags behind?",
    (
        Panel(
            "Hop by hop",
            "From a command's log time until what it caused was written to each topic.",
            "s",
            (quantile(0.5, _DELAY, "topic"), quantile(0.99, _DELAY, "topic")),
        ),
        Panel(
            "Lag",
            "Offsets from what is committed to the log's end, markers of transactions included.",
            "short",
            (level("sum by (room, topic) (outcry_lag_offsets)", "room, topic"),),
        ),
        Panel(
            "Age at commit",
            "Of the oldest record of each transaction, by the log's time.",
            "s",
            (quantile(0.99, _AGE, "room"),),
        ),
        Panel(
            "Records consumed",
            "Each second.",
            "short",
            (per_second("outcry_records_consumed_total", "room, topic"),),
        ),
        Panel(
            "Records produced",
            "Each second.",
            "short",
            (per_second("outcry_records_produced_total", "room, topic"),),
        ),
        Panel(
            "Transactions",
            "From begin to committed.",
            "s",
            (
                quantile(0.5, "outcry_transaction_seconds", "room"),
                quantile(0.99, "outcry_transaction_seconds", "room"),
            ),
        ),
        Panel(
            "Batch size",
            "Records of one transaction, the median.",
            "short",
            (quantile(0.5, "outcry_batch_records", "room"),),
        ),
        Panel(
            "Time in the folds",
            "Share of a second that decoding, folding and encoding take; 1 is one full core.",
            "percentunit",
            (per_second("outcry_fold_seconds_sum", "room"),),
        ),
        Panel(
            "Loops started anew",
            "In five minutes, after an operating error.",
            "short",
            (
                level(
                    "sum by (room) (increase(outcry_loop_restarts_total[5m])) or vector(0)", "room"
                ),
            ),
        ),
        Panel(
            "Replay at the last start",
            "How long the slowest partition took to restore.",
            "s",
            (level("max by (room) (outcry_restore_seconds)", "room"),),
        ),
        Panel(
            "Age of snapshots",
            "Of the oldest partition's newest one. It grows where nothing comes: then none is due.",
            "s",
            (level("time() - min by (room) (outcry_snapshot_timestamp_seconds)", "room"),),
        ),
        Panel(
            "Size of snapshots",
            "Of all partitions' newest.",
            "bytes",
            (level("sum by (room) (outcry_snapshot_bytes)", "room"),),
        ),
        Panel(
            "PostgreSQL behind the log",
            "Age of the oldest record of a batch once its rows are committed.",
            "s",
            (quantile(0.5, _AGE, where=_RECORDER), quantile(0.99, _AGE, where=_RECORDER)),
        ),
        Panel(
            "Rows recorded",
            "Each second.",
            "short",
            (per_second("outcry_rows_recorded_total", "table"),),
        ),
        Panel(
            "Junk passed over",
            "Records that are no message of their topic, each second.",
            "short",
            (per_second("outcry_records_undecodable_total", "room, topic"),),
        ),
    ),
)

GATEWAY: Final = Dashboard(
    "gateway",
    "Outcry: the gateway",
    "What do clients get, and how fast?",
    (
        Panel(
            "Answers with an error of ours, or none",
            "Share of the last hour's answers of 500 and above, and of time without a gateway.",
            "percentunit",
            (level("outcry:requests_failed:ratio_rate1h", ""),),
            is_figure=True,
        ),
        Panel(
            "Requests by status",
            "Each second.",
            "reqps",
            (per_second("outcry_gateway_requests_total", "status"),),
        ),
        Panel(
            "Requests by route",
            "Each second.",
            "reqps",
            (per_second("outcry_gateway_requests_total", "method, route"),),
        ),
        Panel(
            "Time to answer",
            "From request to answer, by route.",
            "s",
            (quantile(0.99, "outcry_gateway_request_seconds", "route"),),
        ),
        Panel(
            "Time to durable",
            "From command to acknowledged by the log.",
            "s",
            tuple(quantile(share, "outcry_gateway_append_seconds") for share in (0.5, 0.99)),
        ),
        Panel(
            "Requests under way",
            "Now.",
            "short",
            (level("outcry_gateway_requests_under_way", "instance"),),
        ),
        Panel("WebSockets open", "Now.", "short", (level("outcry_gateway_sockets", "instance"),)),
        Panel(
            "WebSockets closed by us",
            "Each second, by code: 4008 reads too slowly, 4003 its key ended, 1012 we stop.",
            "short",
            (per_second_or_none("outcry_gateway_sockets_closed_total", "code"),),
        ),
        Panel(
            "Refused at the door",
            "Each second, before a route was found.",
            "short",
            (per_second_or_none("outcry_gateway_access_refused_total", "reason"),),
        ),
        Panel(
            "Feeds",
            "Records folded, each second.",
            "short",
            (per_second("outcry_gateway_feed_records_total", "topic"),),
        ),
        Panel(
            "Age of the feeds",
            "Of the oldest record of a batch once it is shown; high while a gateway catches up.",
            "s",
            (quantile(0.99, _AGE, "topic", _GATEWAY),),
        ),
        Panel(
            "Ended orders kept",
            "To be shown.",
            "short",
            (level("outcry_gateway_ended_orders", "instance"),),
        ),
    ),
)
