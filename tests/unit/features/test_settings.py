import pytest

from services.features.settings import FeaturesSettings
from services.featuresets import TRADE_SETS
from services.featuresets.fingerprint import fingerprint
from services.runtime.errors import ConfigurationError
from services.runtime.settings import read_settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTCRY_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("OUTCRY_REGISTRY_URL", "http://127.0.0.1:1")


def test_the_first_set_runs_by_default() -> None:
    (live,) = read_settings(FeaturesSettings).live_sets()
    assert live.definition is TRADE_SETS["microstructure_v1"]
    assert live.fingerprint == fingerprint(live.definition)


def test_versions_run_beside_each_other_in_the_order_they_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUTCRY_FEATURES_SETS", "microstructure_v2, microstructure_v1")
    names = [live.definition.name for live in read_settings(FeaturesSettings).live_sets()]
    assert names == ["microstructure_v2", "microstructure_v1"]


@pytest.mark.parametrize("given", ["", "microstructure_v9", "daily_v1", "microstructure_v1," * 2])
def test_a_set_that_there_is_not_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("OUTCRY_FEATURES_SETS", given)
    with pytest.raises(ConfigurationError, match=r"OUTCRY_FEATURES_SETS: .*microstructure_v1, "):
        read_settings(FeaturesSettings)
