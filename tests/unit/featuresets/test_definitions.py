import pytest

from services.featuresets import BAR_SETS, SETS, TRADE_SETS
from services.featuresets.definitions import Feature
from services.featuresets.tables import features_table

every_set = pytest.mark.parametrize("name", sorted(SETS))


@every_set
def test_a_set_stands_under_its_own_name_and_its_columns_differ(name: str) -> None:
    feature_set = SETS[name]
    assert feature_set.name == name
    assert len(set(feature_set.columns)) == len(feature_set.columns)
    assert {feature.source for feature in feature_set.features} == {feature_set.source}


@every_set
def test_a_name_that_states_a_window_states_the_right_one(name: str) -> None:
    for feature in SETS[name].features:
        if (
            name in TRADE_SETS
            and feature.name.rpartition("_")[2].endswith("s")
            and feature.window_s
        ):
            assert feature.name.endswith(f"_{feature.window_s}s")
        assert bool(feature.window_bars) == (name in BAR_SETS)


def test_the_longest_window_says_how_far_a_fold_looks_back() -> None:
    assert SETS["microstructure_v1"].longest_window_s == 60
    assert SETS["microstructure_v2"].longest_window_s == 300
    assert SETS["daily_v1"].longest_window_bars == 251


def test_a_real_number_is_one_division_and_none_stays_none() -> None:
    feature = Feature("x", "", "dollar", 10_000, "trades")
    assert feature.real(12_345) == 1.2345
    assert feature.real(None) is None
    with pytest.raises(AssertionError, match="not exact as a float"):
        feature.real(2**53)


@every_set
def test_the_table_of_a_set_has_a_line_for_each_feature(name: str) -> None:
    lines = features_table(SETS[name]).splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == list(SETS[name].columns)
    assert all(line.count("|") == 6 for line in lines)
