import numpy as np
import pytest

from services.drift.core.outcomes import Outcome, Refusal
from services.drift.core.panel import LEAP_S_MAX, SECOND_US, Column, Panel, panel_of

TICKERS = ("AAPL", "MSFT")
COLUMNS = (Column("spread"), Column("depth"))
TICKER = np.array([0, 1, 0, 1], dtype=np.int64)
TIME_US = np.array([5, 5, 6, 8], dtype=np.int64) * SECOND_US
VALUES = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0], [np.inf, 8.0]])


def made(order: list[int] | None = None) -> Panel:
    at = np.array(order or [0, 1, 2, 3])
    panel = panel_of(TICKERS, COLUMNS, TICKER[at], TIME_US[at], VALUES[at])
    assert isinstance(panel, Panel)
    return panel


def outcome_of(time_us: list[int], values: list[float], versions: tuple[object, ...] = ()) -> str:
    answer = panel_of(
        TICKERS, COLUMNS[:1], np.zeros(len(time_us), dtype=np.int64),
        np.array(time_us, dtype=np.int64), np.array(values).reshape(-1, 1), versions,
    )  # fmt: skip
    return answer.outcome if isinstance(answer, Refusal) else "a panel"


def test_seconds_without_rows_take_no_place_and_rows_that_lack_are_missing() -> None:
    panel = made()
    assert panel.time_us.tolist() == [5_000_000, 6_000_000, 8_000_000]
    assert panel.values[0].tolist()[0] == [1.0, 2.0]
    assert np.isnan(panel.values[1, 1]).all()
    # What is infinite has no mean: it is missing, and seen as that.
    assert np.isnan(panel.values[2, 1, 0])


def test_rows_may_stand_in_any_order_and_stand_there_twice() -> None:
    for order in ([3, 1, 0, 2], [0, 1, 2, 3, 2, 0]):
        assert np.array_equal(made(order).values, made().values, equal_nan=True)


@pytest.mark.parametrize(
    "time_us,values,versions,outcome",
    [
        ([], [], (), Outcome.EMPTY_WINDOW),
        ([SECOND_US, SECOND_US], [1.0, 2.0], (), Outcome.CLOCK_JUMP),
        ([SECOND_US, 2 * SECOND_US + 1], [1.0, 2.0], (), Outcome.CLOCK_JUMP),
        ([0, (LEAP_S_MAX + 1) * SECOND_US], [1.0, 2.0], (), Outcome.CLOCK_JUMP),
        ([SECOND_US, 2 * SECOND_US], [1.0, 2.0], (3, 4), Outcome.TWO_MODELS),
        ([SECOND_US, SECOND_US], [1.0, 1.0], (3, 3), "a panel"),
        ([0, LEAP_S_MAX * SECOND_US], [1.0, 2.0], (), "a panel"),
    ],
)
def test_rows_that_can_be_no_panel_say_why(
    time_us: list[int], values: list[float], versions: tuple[object, ...], outcome: str
) -> None:
    assert outcome_of(time_us, values, versions) == outcome
