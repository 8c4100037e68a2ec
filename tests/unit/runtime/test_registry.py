"""The registry client against a registry that answers as it is told."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from services.domain.commands import CancelAll
from services.runtime.errors import ConfigurationError, RetriableError
from services.runtime.registry import Registry, load_codec, register_schemas
from services.wire.schemas import load_schemas


class FakeRegistry:
    """Keeps schemas by subject; fails as planned."""

    def __init__(self) -> None:
        self.subjects: dict[str, list[str]] = {}
        self.rules: dict[str, str] = {}
        self.failures: list[tuple[int, bytes]] = []
        self.requests = 0
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                registry.requests += 1
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, text = registry.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/apis"
        Thread(target=self._server.serve_forever, daemon=True, args=(0.05,)).start()

    def answer(self, path: str, body: dict[str, str] | None) -> tuple[int, bytes]:
        if self.failures:
            return self.failures.pop(0)
        _, _, kind, subject, *rest = path.split("/")
        if kind == "config":
            assert body is not None
            self.rules[subject] = body["compatibility"]
            return 200, json.dumps(body).encode()
        kept = self.subjects.get(subject, [])
        if body is not None:
            kept = self.subjects.setdefault(subject, [])
            if body["schema"] not in kept:
                kept.append(body["schema"])
            return 200, json.dumps({"id": self.id_of(subject, kept.index(body["schema"]))}).encode()
        if not kept:
            return 404, b'{"error_code": 40401}'
        if rest == ["versions"]:
            return 200, json.dumps(list(range(1, len(kept) + 1))).encode()
        version = int(rest[1])
        found = {"id": self.id_of(subject, version - 1), "schema": kept[version - 1]}
        return 200, json.dumps(found).encode()

    def id_of(self, subject: str, place: int) -> int:
        return sorted(self.subjects).index(subject) * 10 + place + 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    made = FakeRegistry()
    yield made
    made.close()


def test_every_schema_is_registered_under_the_rule_and_twice_is_once(fake: FakeRegistry) -> None:
    done = register_schemas(fake.url)
    subjects = {file.subject for file in load_schemas()}
    assert {registration.subject for registration in done} == subjects
    assert fake.rules == dict.fromkeys(subjects, "FULL_TRANSITIVE")
    kept = {subject: list(schemas) for subject, schemas in fake.subjects.items()}
    register_schemas(fake.url)
    assert fake.subjects == kept


def test_a_codec_asks_the_registry_at_start_and_never_again(fake: FakeRegistry) -> None:
    register_schemas(fake.url)
    codec = load_codec(fake.url)
    asked = fake.requests
    payload = CancelAll("alice", "c1", "")
    value = codec.encode_command("orders", payload)
    assert codec.decode("orders", value).payload == payload
    assert fake.requests == asked


def test_a_schema_that_is_not_registered_is_named_with_the_next_step(fake: FakeRegistry) -> None:
    register_schemas(fake.url)
    del fake.subjects["trades-Trade"]
    with pytest.raises(ConfigurationError, match=r"trades-Trade version 1.*outcry topics create"):
        load_codec(fake.url)


def test_an_incompatible_schema_is_refused_in_one_line(fake: FakeRegistry) -> None:
    fake.failures = [(409, b'{"error_code": 409,\n "message": "Incompatible"}')]
    with pytest.raises(ConfigurationError, match="never edited") as caught:
        register_schemas(fake.url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("failure", [(401, b"who are you"), (200, b"<html>")])
def test_what_is_no_registry_is_a_setting_to_change(
    fake: FakeRegistry, failure: tuple[int, bytes]
) -> None:
    fake.failures = [failure]
    with pytest.raises(ConfigurationError, match="OUTCRY_REGISTRY_URL"):
        Registry(fake.url).versions("trades-Trade")


def test_a_registry_that_is_starting_is_asked_again(fake: FakeRegistry) -> None:
    fake.failures = [(503, b"starting"), (500, b"starting")]
    assert Registry(fake.url).versions("trades-Trade") == []
    assert fake.requests == 3


def test_a_registry_that_does_not_answer_is_an_operating_error() -> None:
    with pytest.raises(RetriableError, match="outcry up"):
        Registry("http://127.0.0.1:1", answer_wait_s=0.0).versions("trades-Trade")
