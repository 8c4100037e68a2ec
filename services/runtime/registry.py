"""The schema registry, through its Confluent API. Used at start only, never on an order's way."""

import json
import time
from typing import Any, Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec

from services.runtime.errors import ConfigurationError, RetriableError
from services.wire.codec import Codec, RegisteredSchema
from services.wire.schemas import AvroSchema, SchemaFile, load_schemas

COMPATIBILITY: Final = "FULL_TRANSITIVE"
_CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_REQUEST_TIMEOUT_S: Final = 10.0
_ANSWER_WAIT_S: Final = 30.0
_RETRY_PAUSE_S: Final = 0.5

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


class _AnsweredError(Exception):
    """The registry answered with an HTTP error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


class Registry:
    """A small client. Its methods block.

    Args:
        url: where the Confluent API begins, e.g. `http://127.0.0.1:8081/apis/ccompat/v7`.
        answer_wait_s: how long to ask again for each answer that does not come.
    """

    def __init__(self, url: str, answer_wait_s: float = _ANSWER_WAIT_S) -> None:
        self.url = url.rstrip("/")
        self._answer_wait_s = answer_wait_s

    def versions(self, subject: str) -> list[int]:
        """The versions of a subject, oldest first; none if the registry does not know it.

        Raises:
            RetriableError: no answer within the limit.
            ConfigurationError: it answered what no registry should.
        """
        try:
            return sorted(self._ask("GET", f"/subjects/{quote(subject)}/versions"))
        except _AnsweredError as error:
            if error.status == _NOT_FOUND:
                return []
            raise self._unexpected(f"asking for {subject}", error) from error

    def schema(self, subject: str, version: int) -> tuple[int, AvroSchema]:
        """A version's schema id and schema. Raises as `versions`."""
        try:
            found = self._ask("GET", f"/subjects/{quote(subject)}/versions/{version}")
        except _AnsweredError as error:
            raise self._unexpected(f"reading {subject} version {version}", error) from error
        return int(found["id"]), cast("AvroSchema", json.loads(found["schema"]))

    def register(self, subject: str, schema: AvroSchema) -> int:
        """Register a schema, which twice is once; returns its id.

        Raises:
            RetriableError: no answer within the limit.
            ConfigurationError: it is incompatible with a version before it.
        """
        body = {"schema": json.dumps(schema, separators=(",", ":"))}
        try:
            return int(self._ask("POST", f"/subjects/{quote(subject)}/versions", body)["id"])
        except _AnsweredError as error:
            if error.status == _CONFLICT:
                msg = (
                    f"{subject}: the schema is not {COMPATIBILITY} compatible with the versions"
                    f" at {self.url} ({error}); a published version is never edited: add a new"
                    " one with optional fields"
                )
                raise ConfigurationError(msg) from error
            raise self._unexpected(f"registering {subject}", error) from error

    def require_compatibility(self, subject: str) -> None:
        """Let the registry refuse incompatible versions of a subject. Raises as `versions`."""
        try:
            self._ask("PUT", f"/config/{quote(subject)}", {"compatibility": COMPATIBILITY})
        except _AnsweredError as error:
            raise self._unexpected(f"setting the compatibility of {subject}", error) from error

    def _unexpected(self, doing: str, error: _AnsweredError) -> ConfigurationError:
        msg = f"{doing} at {self.url} failed ({error}); is OUTCRY_REGISTRY_URL a Confluent API?"
        return ConfigurationError(msg)

    def _ask(self, method: str, path: str, body: object | None = None) -> Any:  # noqa: ANN401 - JSON
        give_up_at_s = time.monotonic() + self._answer_wait_s
        while True:
            try:
                return self._ask_once(method, path, body)
            except (URLError, ConnectionError, TimeoutError) as error:
                if time.monotonic() >= give_up_at_s:
                    msg = f"no schema registry at {self.url} ({error}); start it (`outcry up`)"
                    raise RetriableError(msg) from error
            time.sleep(_RETRY_PAUSE_S)

    def _ask_once(self, method: str, path: str, body: object | None) -> Any:  # noqa: ANN401 - JSON
        # The scheme is http or https: settings and callers give nothing else.
        request = Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": _CONTENT_TYPE, "Accept": f"{_CONTENT_TYPE}, */*"},
        )
        try:
            with urlopen(request, timeout=_REQUEST_TIMEOUT_S) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            with error:
                text = " ".join(error.read(2_000).decode(errors="replace").split())
            if error.code >= 500:
                raise ConnectionError(f"HTTP {error.code}: {text[:200]}") from error
            raise _AnsweredError(error.code, text[:300]) from error
        except json.JSONDecodeError as error:
            raise _AnsweredError(200, "the answer is not JSON") from error


class Registration(msgspec.Struct, frozen=True):
    """What `register_schemas` did to one subject."""

    subject: str
    version: int
    schema_id: int


def register_schemas(url: str) -> list[Registration]:
    """Register every schema file under `<topic>-<Record>`, FULL_TRANSITIVE. Twice is once.

    Subjects have no deployment prefix: all deployments on one registry share them.

    Raises:
        RetriableError: the registry does not answer.
        ConfigurationError: a schema is incompatible with what is registered.
    """
    registry = Registry(url)
    done = []
    guarded: set[str] = set()
    for file in load_schemas():
        schema_id = registry.register(file.subject, file.schema)
        if file.subject not in guarded:
            # Some registries keep no rule for a subject they do not know yet.
            registry.require_compatibility(file.subject)
            guarded.add(file.subject)
        done.append(Registration(file.subject, file.version, schema_id))
    return done


def load_codec(url: str, answer_wait_s: float = _ANSWER_WAIT_S) -> Codec:
    """Resolve every version of every subject, once, at start.

    Args:
        url: as for `Registry`.
        answer_wait_s: how long to ask again for each answer that does not come.

    Raises:
        RetriableError: the registry does not answer.
        ConfigurationError: a schema of this code is not registered.
    """
    registry = Registry(url, answer_wait_s)
    newest = {file.subject: file for file in load_schemas()}
    found = [entry for file in newest.values() for entry in _read_subject(registry, file)]
    return Codec(tuple(found))


def _read_subject(registry: Registry, newest: SchemaFile) -> list[RegisteredSchema]:
    entries = [
        RegisteredSchema(schema_id, newest.topic, newest.record, schema)
        for version in registry.versions(newest.subject)
        for schema_id, schema in [registry.schema(newest.subject, version)]
    ]
    if newest.schema not in [entry.schema for entry in entries]:
        msg = (
            f"{newest.subject} version {newest.version} is not registered at {registry.url};"
            " run `outcry topics create`"
        )
        raise ConfigurationError(msg)
    return entries
