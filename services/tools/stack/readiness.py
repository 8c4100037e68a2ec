"""Ways to ask whether a program is ready.

Each probe answers at once or within a second, and starts no program.
"""

import http.client
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.tools.stack.settings import HOST

type Probe = Callable[[int], bool]
"""Takes the pid of the running process; may block for `PROBE_TIMEOUT_S`."""

PROBE_TIMEOUT_S: Final = 1.0
_API_VERSIONS: Final = 18


def http_ok(port: int, path: str) -> Probe:
    """GET answers 200."""

    def probe(_pid: int) -> bool:
        connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def kafka_answers(port: int) -> Probe:
    """The broker answers an ApiVersions request.

    It listens from early on, but handles requests only once it has joined its controller and
    loaded its logs, so an answer means ready. Written by hand: a client library would bring
    threads into the supervisor, which forks.
    """
    client_id = b"outcry-up"
    body = struct.pack(">hhih", _API_VERSIONS, 0, 1, len(client_id)) + client_id
    request = struct.pack(">i", len(body)) + body

    def probe(_pid: int) -> bool:
        try:
            with socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_S) as connection:
                connection.sendall(request)
                # length, correlation id, error code
                answer = connection.recv(10, socket.MSG_WAITALL)
        except OSError:
            return False
        return len(answer) == 10 and answer[4:] == struct.pack(">ih", 1, 0)

    return probe


def postgres_ready(data_directory: Path) -> Probe:
    """The server's pid file says `ready` for this very process, as `pg_ctl --wait` reads it."""

    def probe(pid: int) -> bool:
        try:
            lines = (data_directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    return probe
