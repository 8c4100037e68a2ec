import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.tools.stack.readiness import http_ok, kafka_answers, postgres_ready
from services.tools.stack.settings import HOST


@contextmanager
def _answering(answer: bytes) -> Iterator[int]:
    """A server that reads once and writes `answer`."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(answer)

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ready" else 503)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


def test_only_a_200_means_ready() -> None:
    with ThreadingHTTPServer((HOST, 0), _Health) as server:
        threading.Thread(target=server.serve_forever).start()
        port = server.server_address[1]
        assert http_ok(port, "/ready")(0)
        assert not http_ok(port, "/health")(0)
        server.shutdown()
    assert not http_ok(port, "/ready")(0)


def test_something_else_on_the_port_is_not_a_ready_web_server() -> None:
    with _answering(b"SSH-2.0-OpenSSH\r\n") as port:
        assert not http_ok(port, "/ready")(0)


def test_a_broker_that_answers_the_request_is_ready() -> None:
    length, correlation, no_error = b"\0\0\0\x20", b"\0\0\0\x01", b"\0\0"
    with _answering(length + correlation + no_error + b"\0" * 26) as port:
        assert kafka_answers(port)(0)


@pytest.mark.parametrize("answer", [b"", b"\0\0\0\x06\0\0\0\x01\0\x23", b"HTTP/1.1 400 Bad"])
def test_a_broker_that_refuses_or_hangs_up_is_not_ready(answer: bytes) -> None:
    with _answering(answer) as port:
        assert not kafka_answers(port)(0)
    assert not kafka_answers(port)(0)


def _write_postmaster_pid(data: Path, pid: int, state: str) -> None:
    lines = [str(pid), str(data), "1700000000", "19054", "", HOST, "  1 2", f"{state:<8}"]
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_postgres_is_ready_when_its_own_process_says_so(tmp_path: Path) -> None:
    ready = postgres_ready(tmp_path)
    assert not ready(os.getpid())
    _write_postmaster_pid(tmp_path, os.getpid(), "starting")
    assert not ready(os.getpid())
    _write_postmaster_pid(tmp_path, os.getpid(), "ready")
    assert ready(os.getpid())
    assert not ready(os.getpid() + 1), "the file of an earlier server says nothing of this one"
