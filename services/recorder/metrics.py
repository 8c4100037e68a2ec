"""The recorder's own metrics: it reads every order, execution and trade once, on nobody's way."""

from typing import Final

from services.domain.codes import EXEC_TYPE_NAMES
from services.domain.genesis import TICKERS
from services.domain.reasons import Reason
from services.recorder.core import RECORDED
from services.recorder.tally import OTHER, Tally
from services.runtime.telemetry import Metric, Telemetry
from services.wire.topics import ACCOUNTS, EXECUTIONS, TRADES

ROWS_RECORDED: Final = "outcry_rows_recorded_total"
ORDERS: Final = "outcry_orders_total"
EXECUTION_REPORTS: Final = "outcry_executions_total"
REJECTS: Final = "outcry_rejects_total"
TRADES_MADE: Final = "outcry_trades_total"
SHARES_TRADED: Final = "outcry_traded_shares_total"
LOG_DELAY_SECONDS: Final = "outcry_log_delay_seconds"
RECORDS_MISSING: Final = "outcry_records_missing_total"

# A command takes some milliseconds from topic to topic; the promise to hold is of 0.1 s.
_DELAYS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip

METRICS: Final = (
    Metric(ROWS_RECORDED, "counter", ("table",), "Rows added to PostgreSQL"),
    Metric(ORDERS, "counter", ("ticker",), "Orders that were submitted and could be read"),
    Metric(EXECUTION_REPORTS, "counter", ("event",), "Execution reports, by what they say"),
    Metric(REJECTS, "counter", ("reason",), "Reports that an order, or a change, was refused"),
    Metric(TRADES_MADE, "counter", ("ticker",), "Trades"),
    Metric(SHARES_TRADED, "counter", ("ticker",), "Shares that changed hands"),
    Metric(
        LOG_DELAY_SECONDS,
        "histogram",
        ("topic",),
        "From a command's log time until what it caused was written to the topic",
        _DELAYS,
    ),
    Metric(
        RECORDS_MISSING,
        "counter",
        ("topic",),
        "Records lost: numbers that a writer's gapless sequence lacks, seen since this start",
    ),
)


def show_zeros(telemetry: Telemetry) -> None:
    """What has not happened yet is shown as 0, not as nothing: a rise from nothing is no rise."""
    telemetry.expect([topic.name for topic in RECORDED])
    for ticker in (*TICKERS, OTHER):
        telemetry.count(ORDERS, 0, ticker=ticker)
        telemetry.count(TRADES_MADE, 0, ticker=ticker)
        telemetry.count(SHARES_TRADED, 0, ticker=ticker)
    for event in EXEC_TYPE_NAMES.values():
        telemetry.count(EXECUTION_REPORTS, 0, event=event)
    for reason in Reason:
        telemetry.count(REJECTS, 0, reason=reason.name)
    for topic in (EXECUTIONS, TRADES):
        telemetry.count(RECORDS_MISSING, 0, topic=topic.name)
    for topic in (ACCOUNTS, EXECUTIONS, TRADES):
        telemetry.observe_all(LOG_DELAY_SECONDS, (), topic=topic.name)


def report_tally(telemetry: Telemetry, tally: Tally) -> None:
    """Count a batch, once it is recorded."""
    for ticker, count in tally.orders.items():
        telemetry.count(ORDERS, count, ticker=ticker)
    for exec_type, count in tally.executions.items():
        telemetry.count(EXECUTION_REPORTS, count, event=EXEC_TYPE_NAMES.get(exec_type, OTHER))
    for reason, count in tally.refusals.items():
        telemetry.count(REJECTS, count, reason=_NAMES.get(reason, OTHER))
    for ticker, count in tally.trades.items():
        telemetry.count(TRADES_MADE, count, ticker=ticker)
        telemetry.count(SHARES_TRADED, tally.shares[ticker], ticker=ticker)
    for topic, count in tally.missing.items():
        telemetry.count(RECORDS_MISSING, count, topic=topic)
    for topic, delays_s in tally.delays_s.items():
        telemetry.observe_all(LOG_DELAY_SECONDS, delays_s, topic=topic)


_NAMES: Final = {reason.value: reason.name for reason in Reason}
