import pytest

from services.tools.operate.connect import read_deployment


def test_a_command_that_a_room_starts_takes_the_addresses_that_the_room_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("KAFKA_BOOTSTRAP", "REGISTRY_URL", "PG_DSN"):
        monkeypatch.delenv(f"OUTCRY_{name}", raising=False)
    monkeypatch.setenv("OUTCRY_PORT_BASE", "20000")
    by_ports = read_deployment()
    assert by_ports.bootstrap == "127.0.0.1:20092"
    assert by_ports.registry_url.startswith("http://127.0.0.1:20081/")
    monkeypatch.setenv("OUTCRY_KAFKA_BOOTSTRAP", "kafka:9092")
    monkeypatch.setenv("OUTCRY_REGISTRY_URL", "http://registry:8081/apis/ccompat/v7")
    told = read_deployment()
    assert (told.bootstrap, told.pg_dsn) == ("kafka:9092", by_ports.pg_dsn)
    assert told.registry_url == "http://registry:8081/apis/ccompat/v7"
