"""The demo's screen: a live table in a terminal, a line every few seconds elsewhere."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.domain.amounts import format_price
from services.domain.codes import TICKER_STATUS_NAMES
from services.tools.demo.figures import Figures, Latency, Top

PLAIN_INTERVAL_S: Final = 5.0
_REFRESHES_PER_S: Final = 2


class Screen:
    """Shows figures as often as it is asked to, and no more often than is of use.

    Args:
        urls: where to look on, by what is there.
    """

    def __init__(self, console: Console, urls: dict[str, str]) -> None:
        self._console = console
        self._urls = urls
        self._live = Live(
            console=console, auto_refresh=False, transient=False, refresh_per_second=4
        )
        self._next_line_s = 0.0
        self._orders_before: tuple[float, int] | None = None
        self._orders_per_s = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        else:
            for name, url in self._urls.items():
                self._console.print(f"{name:<17} {url}", markup=False, highlight=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, figures: Figures, elapsed_s: float) -> None:
        """Draw the figures; call it with their lock held, some times a second."""
        now_us = time.time_ns() // 1_000
        self._measure_orders(figures.orders, elapsed_s)
        if self._console.is_terminal:
            self._live.update(self._draw(figures, elapsed_s, now_us), refresh=True)
        elif elapsed_s >= self._next_line_s:
            self._next_line_s = elapsed_s + PLAIN_INTERVAL_S
            line = self._line(figures, elapsed_s, now_us)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _measure_orders(self, orders: int, elapsed_s: float) -> None:
        if self._orders_before is None:
            self._orders_before = (elapsed_s, orders)
        since_s, before = self._orders_before
        if elapsed_s - since_s >= 1 / _REFRESHES_PER_S and orders != before:
            self._orders_per_s = (orders - before) / (elapsed_s - since_s)
            self._orders_before = (elapsed_s, orders)

    def _line(self, figures: Figures, elapsed_s: float, now_us: int) -> str:
        latency = show_latency(figures.recent_latency(now_us))
        tops = "  ".join(
            f"{ticker} {_price(top.bid)}/{_price(top.ask)}"
            for ticker, top in sorted(figures.tops.items())
        )
        return (
            f"{elapsed_s:4.0f} s  {self._orders_per_s:.0f} orders/s"
            f"  {figures.trades_per_s(now_us):.0f} trades/s  latency {latency}"
            f"  dead letters {figures.dead_letters}  recorder lag {figures.recorder_lag}  {tops}"
        )

    def _draw(self, figures: Figures, elapsed_s: float, now_us: int) -> Group:
        flow = Table(box=None, pad_edge=False, show_header=False)
        rows = (
            ("running", f"{elapsed_s:.0f} s"),
            ("orders", f"{self._orders_per_s:,.0f}/s", f"{figures.orders:,} in all"),
            (
                "trades",
                f"{figures.trades_per_s(now_us):,.0f}/s",
                f"{figures.trades:,} in all, {figures.shares:,} shares",
            ),
            ("latency", show_latency(figures.recent_latency(now_us)), "order to committed report"),
            ("dead letters", f"{figures.dead_letters:,}", "the crowd sends some junk"),
            ("recorder lag", f"{figures.recorder_lag:,}", "reports not in PostgreSQL yet"),
        )
        for row in rows:
            flow.add_row(*(Text(cell) for cell in row))
        links = Table(box=None, pad_edge=False, show_header=False)
        for name, url in self._urls.items():
            links.add_row(Text(name), Text(url))
        return Group(flow, Text(""), draw_books(figures.tops), Text(""), links)


def draw_books(tops: dict[str, Top]) -> Table:
    """The best prices of each ticker."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ticker")
    for column in ("bid size", "bid", "ask", "ask size", "last"):
        table.add_column(column, justify="right", min_width=8)
    table.add_column("")
    for ticker, top in sorted(tops.items()):
        table.add_row(
            ticker,
            f"{top.bid_quantity:,}" if top.bid else "",
            _price(top.bid),
            _price(top.ask),
            f"{top.ask_quantity:,}" if top.ask else "",
            _price(top.last),
            TICKER_STATUS_NAMES[top.status] if top.status else "",
        )
    return table


def show_latency(latency: Latency | None) -> str:
    """Two percentiles in milliseconds."""
    if latency is None:
        return "-"
    return f"p50 {latency.p50_ms:.0f} ms, p99 {latency.p99_ms:.0f} ms"


def _price(price: int) -> str:
    return format_price(price) if price else "-"
