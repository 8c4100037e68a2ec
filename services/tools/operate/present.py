"""What the commands print: tables for people, one JSON document for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from services.domain.amounts import format_price
from services.domain.codes import NO_ORDER, TICKER_STATUS_NAMES
from services.domain.controls import Halt, Resume, SetMark
from services.domain.events import AccountState, BookDepth, ExecutionReport
from services.tools.operate.exchange import Seen
from services.tools.operate.spelling import average_price, spell

if TYPE_CHECKING:
    from services.tools.operate.journey import Hop
    from services.tools.operate.ledger import OrderLife

PIPE_WIDTH: Final = 240
"""Columns of a table that goes to a file or another program, where nothing wraps."""

REPORT_COLUMNS: Final = (
    "exec_type", "order_status", "side", "quantity", "price", "last_quantity", "last_price",
    "cumulative_quantity", "remaining_quantity", "average price", "position", "reason",
)  # fmt: skip
_RIGHT: Final = (
    "quantity",
    "price",
    "position",
    "max",
    "offset",
    "bytes",
    "age",
    "partition",
    "ms",
)


def print_json(document: object) -> None:
    """One JSON document to standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table to standard output."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = any(column.endswith(word) for word in _RIGHT)
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)


def print_answers(command_id: str, answers: Sequence[Seen], *, as_json: bool) -> None:
    """What the exchange said to one command."""
    records = [answer.decoded.payload for answer in answers]
    if as_json:
        spelled = [{"type": type(record).__name__, **spell(record)} for record in records]
        print_json({"client_command_id": command_id, "answers": spelled})
        return
    reports = [
        msgspec.structs.asdict(record)
        for record in records
        if isinstance(record, ExecutionReport) and record.order_status != NO_ORDER
    ]
    if reports:
        sys.stdout.write(f"order {reports[0]['order_id']}\n")
        print_table(REPORT_COLUMNS, [report_row(report) for report in reports])
    for line in dict.fromkeys(_describe_state(record) for record in records):
        sys.stdout.write(line)
    print_account_states([msgspec.structs.asdict(r) for r in records if type(r) is AccountState])


def _describe_state(record: object) -> str:
    match record:
        case BookDepth(ticker=ticker, status=status):
            return f"{ticker} is {TICKER_STATUS_NAMES[status]}\n"
        case Halt(ticker=ticker):
            return f"{ticker} is HALTED, as it was\n"
        case Resume(ticker=ticker):
            return f"{ticker} is OPEN, as it was\n"
        case SetMark(ticker=ticker, mark=mark):
            return f"{ticker} is marked at {format_price(mark)}\n"
        case _:
            return ""


def report_row(report: Mapping[str, Any]) -> list[object]:
    """An execution report's fields as a row; what says nothing about it is left empty."""
    shown = spell(report)
    shown["average price"] = average_price(
        report["cumulative_notional"], report["cumulative_quantity"]
    )
    if not report["last_quantity"]:
        shown["last_quantity"] = shown["last_price"] = ""
    if not report["reason"]:
        shown["reason"] = ""
    return [shown[name] for name in REPORT_COLUMNS]


def print_account_states(states: Sequence[Mapping[str, Any]]) -> None:
    """Accounts with their limits and, below each, the tickers it holds or has limits in."""
    if not states:
        return
    rows: list[list[object]] = []
    for state in states:
        rows.append(
            [
                state["account"],
                "KILLED" if state["killed"] else "open",
                "yes" if state["short_allowed"] else "no",
                "",
                "",
                state["position_max"],
                format_price(state["notional_max"]),
                format_price(state["exposure_max"]),
            ]
        )
        for part in state["tickers"]:
            ticker = part if isinstance(part, Mapping) else msgspec.structs.asdict(part)
            rows.append(
                [
                    "", "", "", ticker["ticker"], ticker["position"], ticker["position_max"],
                    format_price(ticker["notional_max"]), "",
                ]
            )  # fmt: skip
    columns = ("account", "state", "short", "ticker", "position", "position max")
    print_table((*columns, "notional max", "exposure max"), rows)


def print_order(life: "OrderLife") -> None:
    """One order from its submission on, line after line in order of time."""
    lines: list[tuple[datetime, int, str, str]] = []
    lines += [(row["log_time"], 0, "submitted", _describe_order(row)) for row in life.submissions]
    lines += [
        (row["log_time"], 1, row["command"], f"asked as {row['client_command_id']}")
        for row in life.requests
    ]
    lines += [
        (row["log_time"], 2, spell(row)["exec_type"], _describe_report(row))
        for row in life.executions
    ]
    lines += [
        (row["log_time"], 3, "trade", _describe_trade(row, life.order_id)) for row in life.trades
    ]
    sys.stdout.write(f"order {life.order_id}\n")
    print_table(
        ("log time", "what", ""),
        [
            (time.isoformat(timespec="microseconds"), what, text)
            for time, _, what, text in sorted(lines, key=lambda line: line[:2])
        ],
    )


def print_hops(hops: "Sequence[Hop]") -> None:
    """The records of an order's way, in order of time, with the time each took."""
    if not hops:
        return
    for trace_id in dict.fromkeys(hop.trace_id for hop in hops if hop.trace_id):
        sys.stdout.write(f"trace {trace_id}\n")
    sys.stdout.write("its way through the log\n")
    print_table(
        ("written", "ms", "after its cause, ms", "what", "by", "where"),
        [
            (
                "gone from Kafka" if hop.time_ms is None else _time_of(hop.time_ms),
                _number(hop.since_first_ms),
                _number(hop.since_cause_ms),
                hop.message,
                hop.writer,
                hop.place,
            )
            for hop in hops
        ],
    )


def _time_of(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _describe_order(row: Mapping[str, Any]) -> str:
    shown = spell(row)
    price = shown["price"] if row["price"] else ""
    return (
        f"{shown['side']} {row['quantity']} {row['ticker']} {shown['order_type']}"
        f" {shown['time_in_force']} {price} by {row['account']}"
    )


def _describe_trade(row: Mapping[str, Any], order_id: str) -> str:
    other = "taker" if row["maker_order_id"] == order_id else "maker"
    return (
        f"{row['trade_id']}: {row['quantity']} at {format_price(row['price'])},"
        f" {other} {row[f'{other}_order_id']}"
    )


def _describe_report(row: Mapping[str, Any]) -> str:
    shown = spell(row)
    parts = [shown["order_status"]]
    if row["last_quantity"]:
        parts.append(f"{row['last_quantity']} at {shown['last_price']}")
    parts.append(f"{row['cumulative_quantity']} of {row['quantity']} filled")
    if row["cumulative_quantity"]:
        average = average_price(row["cumulative_notional"], row["cumulative_quantity"])
        parts.append(f"average {average}")
    parts.append(f"position {row['position']}")
    if row["reason"]:
        parts.append(shown["reason"])
    return ", ".join(parts)
