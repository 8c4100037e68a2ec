from services.domain.codes import BUY, SELL
from services.featuresets import SETS
from services.featuresets.grid import GridRow
from services.featuresets.ticks import Tick

V1 = SETS["microstructure_v1"]
S = 1_000_000


def _named(row: GridRow) -> dict[str, int | None]:
    return dict(zip(V1.columns, row.values, strict=True))


def _fold(*ticks: Tick) -> list[GridRow]:
    fold = V1.new_fold()
    return [row for tick in ticks for row in fold.step(tick)]


FIRST = Tick(3, 10 * S + 400_000, 1_000_000, 10, BUY, 999_900, 5, 1_000_100, 15)
SECOND = Tick(7, 10 * S + 900_000, 1_001_000, 30, SELL, 1_000_900, 20, 1_001_100, 20)
THIRD = Tick(8, 12 * S, 1_003_000, 5, BUY, 1_002_000, 7, 0, 0)


def test_a_trade_closes_each_whole_second_up_to_its_own_time() -> None:
    rows = _fold(FIRST, SECOND, THIRD)
    assert [row.grid_time_us for row in rows] == [11 * S, 12 * S]
    assert [row.rewind_offset for row in rows] == [3, 3]


def test_what_the_last_trade_says_is_known_from_the_first_row_on() -> None:
    row = _named(_fold(FIRST, SECOND, THIRD)[0])
    assert row["spread"] == 200
    assert row["queue_imbalance"] == 0
    assert row["microprice_minus_mid"] == 0
    assert row["mid"] == 2_002_000
    assert row["time_since_last_trade"] == 100_000


def test_a_window_says_nothing_until_a_trade_before_it_is_known() -> None:
    at_11, at_12 = (_named(row) for row in _fold(FIRST, SECOND, THIRD))
    assert at_11["return_1s"] is None
    assert at_12["return_1s"] == 0
    assert at_12["trade_intensity_5s"] is None


def test_windows_of_a_row_are_as_computed_by_hand() -> None:
    fourth = Tick(9, 15 * S + 1, 1_002_000, 40, SELL, 1_001_000, 9, 1_002_100, 3)
    last = Tick(11, 16 * S + 500_000, 999_000, 1, SELL, 998_000, 1, 999_100, 2)
    row = _fold(FIRST, SECOND, THIRD, fourth, last)[-1]
    values = _named(row)
    assert row.grid_time_us == 16 * S
    # The window of 5 s begins at 11 s: the two later trades are in it, the two first before it.
    assert values["trade_intensity_5s"] == 2
    assert values["signed_volume_5s"] == 5 - 40
    # Third against second: the bid rose (+7) and the ask went (+20). Fourth against third: the
    # bid fell (-7) and an ask came (-3).
    assert values["order_flow_imbalance_at_trades_5s"] == 7 + 20 - 7 - 3
    # 1,002,000 against 1,001,000 at 11 s: 0.000999000999...; at 15 s it was 1,003,000.
    assert values["return_5s"] == 999_001
    assert values["return_1s"] == -997_009
    assert values["return_30s"] is None
    assert values["queue_imbalance"] == 500_000
    assert values["microprice_minus_mid"] == 275 * 10_000
    assert values["time_since_last_trade"] == 999_999
