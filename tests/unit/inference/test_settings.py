import pytest

from services.inference.settings import InferenceSettings
from services.runtime.errors import ConfigurationError
from services.runtime.settings import read_settings

NEEDED = {
    "OUTCRY_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "OUTCRY_REGISTRY_URL": "http://127.0.0.1:8081",
    "OUTCRY_HOME": "/nowhere",
}


@pytest.mark.parametrize(
    "name,value",
    [
        ("OUTCRY_INFERENCE_HOST", "0.0.0.0"),  # noqa: S104 - the wish that is refused
        ("OUTCRY_INFERENCE_UNFIT_POLICY", "guess"),
        ("OUTCRY_INFERENCE_CANARY_PERCENT", "101"),
        ("OUTCRY_INFERENCE_POLL_INTERVAL_S", "0"),
        ("OUTCRY_INFERENCE_FEATURE_AGE_S_MAX", "-1"),
        ("OUTCRY_INFERENCE_TICKERS_MAX", "0"),
        ("OUTCRY_MLFLOW_URL", "ftp://models"),
        ("OUTCRY_ONLINE_URL", "memcached://h"),
    ],
)
def test_a_setting_that_can_not_be_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for each, good in NEEDED.items():
        monkeypatch.setenv(each, good)
    assert read_settings(InferenceSettings).inference_unfit_policy == "refuse"
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        read_settings(InferenceSettings)
