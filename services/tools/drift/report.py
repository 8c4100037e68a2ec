"""The figures of drift for people."""

from rich.table import Table

from services.tools.drift.own import OwnFigures
from services.tools.drift.trials import OURS, Found, MarketFigures, Rate


def quiet_table(figures: MarketFigures) -> Table:
    """Who alarms where nothing has changed."""
    order = figures.order
    table = Table(
        "way", "windows", "alarms", "95 %", "columns flagged",
        title=f"{figures.market}: nothing has changed",
        caption=f"{order.references} references of {order.reference_windows} windows of"
        f" {order.window_s:,} s, {order.tickers} tickers x {order.features} features,"
        f" seed {order.seed}; longest block {figures.block_s:,} s;"
        f" {figures.unjudged} windows not judged in full",
    )  # fmt: skip
    for quiet in figures.quiet:
        rate = quiet.rate
        table.add_row(
            quiet.way, str(rate.windows), f"{rate.share:.1%}", _interval(rate),
            f"{quiet.columns_flagged:.1%}",
        )  # fmt: skip
    return table


def found_table(figures: MarketFigures) -> Table:
    """Who finds what: a line for each change, the others beside ours, all with 95 % intervals."""
    of = {(one.shift, one.way): one for one in figures.found}
    others = [way for way in _ways(figures) if way != OURS]
    table = Table(
        "change", "ours, windows", "ours, within two", "delay, windows", *others,
        title=f"{figures.market}: something has changed",
        caption="found of windows, in brackets 95 % by Clopper and Pearson; where nothing has"
        " changed the others alarm as often as the table above says; no interval where all windows"
        " share one reference; Evidently sees two windows a change",
    )  # fmt: skip
    for shift in sorted({one.shift for one in figures.found}):
        ours = of[shift, OURS]
        table.add_row(
            shift,
            _found_cell(ours.rate),
            _found_cell(ours.within_two),
            _delay(ours),
            *(_cell_of_way(of.get((shift, way))) for way in others),
        )
    return table


def _ways(figures: MarketFigures) -> list[str]:
    """In the order in which they were asked."""
    return list(dict.fromkeys(one.way for one in figures.found))


def _cell_of_way(found: Found | None) -> str:
    return "-" if found is None else f"{_found_cell(found.rate)}, delay {_delay(found)}"


def _delay(found: Found) -> str:
    return "-" if found.delay_windows is None else f"{found.delay_windows:g}"


def _found_cell(rate: Rate) -> str:
    found = f"{rate.share:.0%} of {rate.windows}"
    if rate.low is None or rate.high is None:
        return found
    return f"{found} [{rate.low:.0%}, {rate.high:.0%}]"


def own_table(figures: OwnFigures) -> Table:
    """What one reference is worth."""
    table = Table("figure", "value", title=f"reference of {figures.seconds:,} s")
    table.add_row("tickers", ", ".join(figures.tickers))
    table.add_row("windows", f"{figures.window_s:,} s; {figures.stretches} {figures.method}")
    table.add_row(
        "threshold",
        f"{figures.threshold:.2f} ({figures.threshold_low:.2f} to {figures.threshold_high:.2f})",
    )
    table.add_row("false alarms, windows", _level(figures))
    table.add_row("longest block", f"{figures.block_s:,} s")
    table.add_row("too slow for the window", ", ".join(figures.too_slow) or "none")
    table.add_row("constant", ", ".join(figures.constant) or "none")
    table.add_row("furthest stretch", f"{figures.widest_excess:.2f} by {figures.widest_family}")
    for one in figures.found:
        table.add_row(f"alarms: {one.shift}", f"{one.alarms} of {one.windows}")
    return table


def _level(figures: OwnFigures) -> str:
    if figures.level_measured is not None:
        low, high = figures.level_measured
        return (
            f"unknown ({figures.level_unknown}): where blocks were measured, on references of 27"
            f" windows, {low:.1%} to {high:.1%}; of shorter ones nothing is known"
        )
    assert figures.level is not None, "it is unknown with what was measured instead"
    return (
        f"{figures.level:.1%} on average; after this reference {figures.level_low:.1%}"
        f" to {figures.level_high:.1%}"
    )


def _interval(rate: Rate) -> str:
    if rate.low is None or rate.high is None:
        return "none: one reference"
    return f"{rate.low:.1%} to {rate.high:.1%}"
