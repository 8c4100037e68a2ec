"""The table of planted changes: who finds them, each with its interval, side by side."""

from io import StringIO

from rich.console import Console

from services.drift.core.intervals import share_interval
from services.tools.drift.report import found_table
from services.tools.drift.rivals import EVIDENTLY, PSI
from services.tools.drift.trials import OURS, Found, MarketFigures, Order, Rate

ORDER = Order(2, 2, 2, 2, 600, 20, 1, 1, 99, 0.05, 1)


def rate(alarms: int, windows: int) -> Rate:
    return Rate(windows, alarms, alarms / windows, *share_interval(alarms, windows))


def page(*found: Found) -> str:
    figures = MarketFigures("ar-0.9", ORDER, 90, 1.0, 0, (), found)
    text = StringIO()
    Console(file=text, width=240).print(found_table(figures))
    return text.getvalue()


def test_a_change_has_a_line_in_which_everybodys_finds_stand_with_intervals() -> None:
    said = page(
        Found(OURS, "mean by 1 sd", rate(23, 24), rate(6, 6), 1.0),
        Found(PSI.name, "mean by 1 sd", rate(11, 24), rate(3, 6), 1.5),
        Found(EVIDENTLY.name, "mean by 1 sd", Rate(2, 0, 0.0, None, None), rate(0, 1), None),
        Found(OURS, "5 % missing", rate(0, 24), rate(0, 6), None),
        Found(PSI.name, "5 % missing", rate(0, 24), rate(0, 6), None),
    )
    (mean,) = [line for line in said.splitlines() if "mean by 1 sd" in line]
    for cell in ("96% of 24 [79%, 100%]", "100% of 6 [54%, 100%]",
                 "46% of 24 [26%, 67%], delay 1.5", "0% of 2, delay -"):  # fmt: skip
        assert cell in mean, cell
    (missing,) = [line for line in said.splitlines() if "5 % missing" in line]
    assert "0% of 24 [0%, 14%]" in missing
    # Who was not asked for a change has no figure of it.
    assert missing.rstrip(" │").endswith("-")


def test_everybody_who_was_asked_has_a_column() -> None:
    said = page(
        Found(OURS, "two tickers swapped", rate(1, 1), rate(1, 1), 1.0),
        Found(PSI.name, "two tickers swapped", rate(0, 1), rate(0, 1), None),
        Found(EVIDENTLY.name, "two tickers swapped", rate(0, 1), rate(0, 1), None),
    )
    assert all(name in said for name in ("ours, windows", PSI.name, EVIDENTLY.name))
