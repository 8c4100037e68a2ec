"""What rooms find in place when they start: run by the supervisor once the infrastructure is ready.

Each step is safe to repeat, since each `up` runs all of them. A step is a function that takes the
`Addresses` and the topic prefix, and returns one line saying what it found or made; it raises to
stop the start. Steps for rooms live with what they prepare and are named here, not imported, so
that a stack without rooms loads none of them.
"""

import http.client
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from services.runtime.errors import ConfigurationError, OperatingError
from services.tools.stack.plan import Addresses

type StepFunction = Callable[[Addresses, str], str]

COMPATIBILITY: Final = "FULL_TRANSITIVE"


class Step(msgspec.Struct, frozen=True):
    """A named step and the function that does it, as `module:function`."""

    name: str
    function: str


INFRA_STEPS: Final = (
    Step("registry compatibility", "services.tools.stack.prepare:require_compatibility"),
    Step("database", "services.tools.stack.prepare:create_database"),
)
ROOM_STEPS: Final = (
    # First, since nothing may be written to a cluster that is not the deployment's own.
    Step("tables", "services.tools.stack.deployment:migrate_database"),
    Step("cluster", "services.tools.stack.deployment:hold_cluster"),
    Step("topics", "services.tools.stack.deployment:create_topics"),
    Step("schemas", "services.tools.stack.deployment:register_schemas"),
    Step("keys", "services.tools.stack.deployment:make_keys_secret"),
    Step("genesis", "services.tools.operate.steps:publish_genesis"),
)


def require_compatibility(addresses: Addresses, _topic_prefix: str) -> str:
    """Make every schema change compatible in both directions with all versions, by default."""
    location = urlsplit(addresses.registry_url)
    assert location.hostname is not None
    connection = http.client.HTTPConnection(location.hostname, location.port, timeout=10)
    try:
        connection.request(
            "PUT",
            f"{location.path.rstrip('/')}/config",
            json.dumps({"compatibility": COMPATIBILITY}),
            {"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", errors="replace")
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise ConfigurationError(f"the registry refused {COMPATIBILITY}: {answer.status} {body}")
    return COMPATIBILITY


def create_database(addresses: Addresses, _topic_prefix: str) -> str:
    """Create the database that the DSN names, if the server lacks it."""
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    name = str(conninfo_to_dict(addresses.pg_dsn).get("dbname") or "")
    assert name, "the DSN names a database"
    try:
        with psycopg.connect(addresses.pg_dsn, connect_timeout=10):
            return f"{name} exists"
    except psycopg.OperationalError as error:
        # libpq reports a refused connection as text only, without the server's error code.
        if f'database "{name}" does not exist' not in str(error):
            raise
    maintenance = make_conninfo(addresses.pg_dsn, dbname="postgres", connect_timeout=10)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{name} created"


def _load(step: Step) -> StepFunction:
    module, _, function = step.function.partition(":")
    loaded: StepFunction = getattr(importlib.import_module(module), function)
    return loaded


def main(rooms: list[str]) -> int:
    """Run the steps in order, one line each to the log; 1 at the first that fails."""
    import psycopg

    addresses = Addresses(
        kafka_bootstrap=os.environ["OUTCRY_KAFKA_BOOTSTRAP"],
        registry_url=os.environ["OUTCRY_REGISTRY_URL"],
        pg_dsn=os.environ["OUTCRY_PG_DSN"],
    )
    topic_prefix = os.environ["OUTCRY_TOPIC_PREFIX"]
    for step in INFRA_STEPS + (ROOM_STEPS if rooms else ()):
        started = time.monotonic()
        try:
            found = _load(step)(addresses, topic_prefix)
        except (OperatingError, OSError, psycopg.Error) as error:
            print(f"error: {step.name}: {error}", flush=True)  # noqa: T201 - its output is its log
            return 1
        print(f"{step.name}: {found} ({time.monotonic() - started:.1f} s)", flush=True)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
