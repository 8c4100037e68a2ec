"""The step reload is a success only if the service serves what the registry has."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest

from services.tools.pipeline.errors import PipelineError
from services.tools.pipeline.reload import Wanted, reload_service

NAME: Final = "direction_10s"
PROMOTED: Final = Wanted(NAME, 3, promoted=True)

type Served = tuple[str, int] | None


@contextmanager
def service(
    status: int, document: object, served: Served = (NAME, 3)
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An HTTP server that answers a reload, says what it serves, and keeps what it was asked."""
    asked: list[tuple[str, bytes]] = []
    champion = (
        {} if served is None else {"champion": dict(zip(("name", "version"), served, strict=True))}
    )

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked.append((self.path, self.rfile.read(length)))
            self.answer(status, document)

        def do_GET(self) -> None:
            asked.append((self.path, b""))
            self.answer(200, {"models": champion})

        def answer(self, code: int, said: object) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def outcome(what: str, **more: object) -> dict[str, object]:
    champion = {"alias": "champion", "outcome": what, "version": 3, "reason": None, "detail": None}
    return {"outcomes": [{"alias": "shadow", "outcome": "emptied"}, champion | more]}


def test_the_service_is_told_and_what_it_serves_is_kept() -> None:
    with service(200, outcome("loaded")) as (url, asked):
        said = reload_service(url, PROMOTED)
    assert said == {"reloaded": True, "champion": "loaded", "serving": 3}
    assert asked == [("/admin/reload", b"{}"), ("/models", b"")]


REFUSED: Final = outcome("refused", version=2, reason="too_slow", detail="9 ms, the limit is 5 ms")


@pytest.mark.parametrize(
    "said,served,cause",
    [
        (REFUSED, (NAME, 2), "direction_10s version 2 (refused, too_slow, 9 ms, the limit is"),
        (outcome("registry_away", detail="locked"), (NAME, 2), "(registry_away, locked)"),
        (outcome("unchanged", version=2), (NAME, 2), "the service serves direction_10s version 2"),
        (outcome("unchanged"), ("direction_60s", 3), "the service serves direction_60s version 3"),
        (outcome("unchanged", version=None), None, "the service serves no model (unchanged)"),
    ],
)
def test_a_service_that_does_not_serve_what_was_promoted_is_no_success(
    said: object, served: Served, cause: str
) -> None:
    with service(200, said, served) as (url, _), pytest.raises(PipelineError) as caught:
        reload_service(url, PROMOTED)
    assert "the registry has version 3 as champion of direction_10s" in str(caught.value)
    assert cause in str(caught.value)
    assert "run it again, or leave the step out (--no-reload)" in str(caught.value)


@pytest.mark.parametrize("version,served", [(None, None), (3, (NAME, 2))])
def test_where_nothing_was_promoted_another_model_is_told_and_is_no_failure(
    version: int | None, served: Served
) -> None:
    with service(200, outcome("unchanged", version=2), served) as (url, _):
        said = reload_service(url, Wanted(NAME, version, promoted=False))
    assert not said["reloaded"]
    assert "and the service serves" in said["why"]


def test_a_service_that_fails_or_is_away_is_said() -> None:
    with (
        service(500, {"title": "no"}) as (url, _),
        pytest.raises(PipelineError, match=r"answered 500.*run it again"),
    ):
        reload_service(url, PROMOTED)
    with pytest.raises(PipelineError, match=r"does not answer.*run it again"):
        reload_service("http://127.0.0.1:1", PROMOTED)
