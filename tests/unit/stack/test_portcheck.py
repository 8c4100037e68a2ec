import os
import socket

import pytest

from services.tools.stack.errors import PortTakenError
from services.tools.stack.portcheck import check_ports, find_free_base, is_free
from services.tools.stack.settings import HOST, PORT_OFFSETS
from tests.support.stack_fixture import reserved_port_base


def test_a_taken_port_is_named_with_its_holder_and_the_way_out() -> None:
    with (
        reserved_port_base() as base,
        socket.create_server((HOST, base + 92)),
        pytest.raises(PortTakenError) as refusal,
    ):
        check_ports({"registry": base + 81, "kafka": base + 92}, base)
    message = str(refusal.value)
    assert f"port {base + 92} (kafka)" in message
    assert f"pid {os.getpid()}" in message
    assert "OUTCRY_PORT_BASE=" in message


def test_a_base_with_one_port_taken_is_passed_over() -> None:
    with (
        reserved_port_base() as taken,
        reserved_port_base() as free,
        socket.create_server((HOST, taken + PORT_OFFSETS["kafka"])),
    ):
        assert find_free_base([taken, free]) == free
        with pytest.raises(PortTakenError):
            find_free_base([taken])


def test_a_port_is_free_again_right_after_its_server_closed() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((HOST, port))
        accepted, _ = server.accept()
        assert not is_free(port)
    accepted.close()
    client.close()
    assert is_free(port)
