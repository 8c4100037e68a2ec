"""The environment is read once and refused in one line."""

import pytest
from pydantic import ValidationError

from services.runtime.errors import ConfigurationError
from services.runtime.settings import RoomSettings, read_settings

NEEDED = {
    "OUTCRY_KAFKA_BOOTSTRAP": "127.0.0.1:9092",
    "OUTCRY_REGISTRY_URL": "http://127.0.0.1:8081/apis/ccompat/v7",
}


def read(monkeypatch: pytest.MonkeyPatch, **changes: str) -> RoomSettings:
    for name in ("PG_DSN", "TOPIC_PREFIX", "INSTANCE", "METRICS_PORT"):
        monkeypatch.delenv(f"OUTCRY_{name}", raising=False)
    for name, value in (NEEDED | changes).items():
        monkeypatch.setenv(name, value)
    return read_settings(RoomSettings)


def test_two_variables_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch)
    assert settings.kafka_bootstrap == "127.0.0.1:9092"
    assert settings.metrics_port is None
    assert settings.deployment == "default"


def test_the_prefix_names_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, OUTCRY_TOPIC_PREFIX="demo.").deployment == "demo."


def test_settings_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch)
    with pytest.raises(ValidationError):
        settings.instance = "1"  # type: ignore[misc]  # that it is read-only is the point


def test_the_database_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, OUTCRY_PG_DSN="postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(settings)
    assert settings.pg_dsn is not None
    assert settings.pg_dsn.get_secret_value() == "postgresql://u:hunter2@h/d"


@pytest.mark.parametrize(
    "name,value",
    [
        ("OUTCRY_KAFKA_BOOTSTRAP", "localhost"),
        ("OUTCRY_REGISTRY_URL", "127.0.0.1:8081"),
        ("OUTCRY_BATCH_RECORDS_MAX", "0"),
        ("OUTCRY_METRICS_PORT", "70000"),
        ("OUTCRY_TOPIC_PREFIX", "Kunden Büro"),
        ("OUTCRY_INSTANCE", ""),
        ("OUTCRY_SNAPSHOTS_KEPT", "1"),
        ("OUTCRY_LOG_LEVEL", "chatty"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        read(monkeypatch, **{name: value})
    assert "\n" not in str(caught.value)


def test_all_missing_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError) as caught:
        read_settings(RoomSettings)
    assert all(name in str(caught.value) for name in NEEDED)
    assert "\n" not in str(caught.value)
