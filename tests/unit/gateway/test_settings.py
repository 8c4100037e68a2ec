import socket

import pytest
from pydantic import ValidationError

from services.gateway.service import listen
from services.gateway.settings import GatewaySettings
from services.runtime.errors import ConfigurationError
from services.runtime.settings import read_settings
from tests.support.gateway_memory import make_settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_gateway_listens_on_loopback(host: str) -> None:
    assert make_settings(gateway_host=host).gateway_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "8.8.8.8"])  # noqa: S104
def test_the_gateway_refuses_any_other_address(host: str) -> None:
    with pytest.raises(ValidationError, match="loopback"):
        make_settings(gateway_host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1"])  # noqa: S104
def test_with_keys_it_listens_where_it_is_told(host: str) -> None:
    assert make_settings(gateway_access="keys", gateway_host=host).gateway_host == host


def test_with_keys_too_an_address_must_be_one() -> None:
    with pytest.raises(ValidationError, match="gateway_host"):
        make_settings(gateway_access="keys", gateway_host="example.org")


def test_keys_are_needed_unless_somebody_says_otherwise() -> None:
    assert GatewaySettings.model_fields["gateway_access"].default == "keys"


@pytest.mark.parametrize("name", ["a b", "a,", ",a", "http://a", "a:80"])
def test_names_of_the_gateway_are_names(name: str) -> None:
    assert make_settings(gateway_names="Trade.example,b").host_names == ("trade.example", "b")
    with pytest.raises(ValidationError, match="gateway_names"):
        make_settings(gateway_names=name)


def test_a_refused_address_is_told_in_one_line_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUTCRY_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("OUTCRY_REGISTRY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OUTCRY_GATEWAY_ACCESS", "open")
    monkeypatch.setenv("OUTCRY_GATEWAY_HOST", "0.0.0.0")  # noqa: S104
    with pytest.raises(ConfigurationError) as raised:
        read_settings(GatewaySettings)
    text = str(raised.value)
    assert "OUTCRY_GATEWAY_HOST" in text
    assert "use 127.0.0.1" in text
    assert "\n" not in text


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = make_settings(gateway_port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="set OUTCRY_GATEWAY_PORT"):
            listen(settings)
