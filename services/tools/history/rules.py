"""What is looked for in each batch, and what is done about it: one table, which the docs print.

`refuse`: the row does not enter the lake. `repair`: it enters as the rule says, and is counted.
`report`: it enters as it is; the finding is told. Of several faults a row has, the first counts.
"""

from typing import Final, Literal

import msgspec

type Action = Literal["refuse", "repair", "report"]


class Rule(msgspec.Struct, frozen=True):
    """One check."""

    name: str
    kinds: tuple[str, ...]
    action: Action
    what: str


_BOTH: Final = ("trades", "bars")
_TRADES: Final = ("trades",)
_BARS: Final = ("bars",)
_LOBSTER: Final = ("lobster",)

RULES: Final = (
    Rule("columns", _BOTH, "refuse", "a row with more or fewer columns than the header"),
    Rule("bad_ticker", _BOTH, "refuse", "a ticker that is not 1 to 12 of A-Z, 0-9 and dots, after"
         " blanks are cut, letters made capital and `--rename` applied; any other name is kept"),
    Rule("bad_time", _BOTH, "refuse", "a time that can't be read or was never shown by the zone's"
         " clock, or was shown twice"),
    Rule("bad_price", _BOTH, "refuse", "a price that is no decimal number"),
    Rule("price_not_positive", _BOTH, "refuse", "a price of 0 or less"),
    Rule("price_too_fine", _TRADES, "refuse", "a price of a trade that is no multiple of 1/10000"
         " dollar (`--round-prices` repairs it instead)"),
    Rule("bad_quantity", _TRADES, "refuse", "a size that is no whole number above 0"),
    Rule("bad_side", _TRADES, "refuse", "a side that is neither buy, sell nor empty"),
    Rule("bad_sequence", _TRADES, "refuse", "a sequence number that is no whole number"),
    Rule("id_conflict", _TRADES, "refuse", "one trade id on one day with different times, prices or"
         " sizes: all such rows of the file, since none is known to be right"),
    Rule("day_has_session", _TRADES, "refuse", "a trade of a day that holds an order-flow session"
         " of its ticker, which has the day's trades already"),
    Rule("bad_volume", _BARS, "refuse", "a volume that is no whole number"),
    Rule("negative_volume", _BARS, "refuse", "a volume below 0"),
    Rule("high_below_low", _BARS, "refuse", "high < low"),
    Rule("open_outside_range", _BARS, "refuse", "open outside [low, high]"),
    Rule("close_outside_range", _BARS, "refuse", "close outside [low, high]"),
    Rule("bad_given", _BARS, "refuse", "an adjusted close or dividend that is no decimal number, or"
         " a split that is no ratio"),
    Rule("off_grid", _BARS, "refuse", "a minute bar that does not begin on a whole minute"),
    Rule("conflict_in_file", _BARS, "refuse", "a day or minute that the file gives twice with"
         " different values: all such rows, since none is known to be right"),
    Rule("conflict_with_lake", _BARS, "refuse", "a bar with other values than the lake has for its"
         " time (`--replace` takes the file's)"),
    Rule("hidden_execution", _LOBSTER, "refuse", "an execution of a hidden order, which no book"
         " shows"),
    Rule("cross_trade", _LOBSTER, "refuse", "a cross"),
    Rule("halt_message", _LOBSTER, "refuse", "a halt or what belongs to one"),
    Rule("outside_window", _LOBSTER, "refuse", "a message about an order in no level of the window,"
         " or, without an orderbook file, one that the file never placed"),
    Rule("repetition", _BOTH, "repair", "the same bar or trade again in the file is dropped: the"
         " same trade id, or without ids equal in ticker, time, price, size and side"
         " (`--keep-equal` keeps those)"),
    Rule("out_of_order", _BOTH, "repair", "a row earlier than the one before it of its ticker is"
         " sorted in"),
    Rule("price_rounded", _BOTH, "repair", "a price finer than 1/10000 dollar is rounded half to"
         " even (bars; trades with `--round-prices`)"),
    Rule("time_cut", _BOTH, "repair", "digits beyond the microsecond are cut"),
    Rule("quote_dropped", _TRADES, "repair", "a bid or ask that is no price or size, is negative,"
         " or crosses the other (bid >= ask): the trade is kept without quotes"),
    Rule("missing_day", _BOTH, "report", "a day between a ticker's first and last on which another"
         " ticker of the file has rows; in a file of one ticker: a weekday, so holidays too"),
    Rule("missing_minute", _BARS, "report", "a minute between a ticker's first and last of a day in"
         " which another ticker of the file has a bar; in a file of one ticker: any minute"),
)  # fmt: skip
"""In the order in which they are asked."""

BY_NAME: Final = {rule.name: rule for rule in RULES}


def draw_rules() -> str:
    """The table for the page about history."""
    lines = ["| rule | of | done | what |", "|---|---|---|---|"]
    lines += [
        f"| `{rule.name}` | {', '.join(rule.kinds)} | {rule.action} | {rule.what} |"
        for rule in RULES
    ]
    return "\n".join(lines)
