"""The rooms as components: one process each, `python -m services.<room>`."""

import importlib.util
import os
import sys
from dataclasses import replace
from typing import Final

import msgspec

from services.tools.stack.components import Component
from services.tools.stack.errors import StackError
from services.tools.stack.fencing import fence, transactional_ids
from services.tools.stack.plan import Plan
from services.tools.stack.readiness import http_ok
from services.tools.stack.settings import HOST, KEYS_FILE_NAME, PORT_OFFSETS
from services.tools.stack.status import run_directory

PREPARE: Final = "prepare"
KEYS_FILE_VARIABLE: Final = "OUTCRY_GATEWAY_KEYS_SECRET_FILE"


class Room(msgspec.Struct, frozen=True):
    """One row of the table of rooms."""

    name: str
    metrics_port: str
    """Its name in `PORT_OFFSETS`; `/ready` answers there."""
    standby_port: str = ""
    """The same of its standby; empty: this room has none."""
    after: tuple[str, ...] = ()
    is_transactional: bool = False
    """Whether it writes to the log in transactions."""
    libraries: tuple[str, ...] = ()
    """What the extra of its name brings, and `outcry up` alone does not need."""
    is_trading: bool = True
    """Whether it is on an order's way, or tells of it; the others stand behind the trades."""


STANDBY_SUFFIX: Final = "-standby"
"""Of the name of a room's second process, a component of its own."""

SIGNATURES_FILE_NAME: Final = "signatures.sqlite"
"""Where gateways on one port remember together which signed requests were taken."""

INSTANCE: Final = "0"
"""Of each room that the supervisor runs."""

# The gateway takes orders, so it comes last, and goes first, to leave the others a drained log.
ROOMS: Final = (
    Room("ingest", "ingest", is_transactional=True),
    Room("risk", "risk", is_transactional=True, standby_port="risk-standby"),
    Room("matcher", "matcher", is_transactional=True, standby_port="matcher-standby"),
    Room("recorder", "recorder"),
    Room("features", "features", libraries=("aiokafka", "faust", "mode"), is_trading=False),
    Room(
        "materializer",
        "materializer",
        after=("features",),
        libraries=("duckdb", "feast", "pandas", "pyarrow", "redis", "yaml"),
        is_trading=False,
    ),
    Room(
        "inference",
        "inference",
        after=("materializer",),
        libraries=(
            "alembic",
            "duckdb",
            "feast",
            "mlflow",
            "numpy",
            "pandas",
            "pyarrow",
            "redis",
            "sqlalchemy",
            "xgboost",
            "yaml",
        ),
        is_trading=False,
    ),
    Room(
        "drift",
        "drift",
        libraries=(
            "alembic",
            "duckdb",
            "evidently",
            "httpx",
            "mlflow",
            "numpy",
            "pandas",
            "psycopg",
            "pyarrow",
            "sklearn",
            "sqlalchemy",
            "xgboost",
        ),
        is_trading=False,
    ),
    Room("gateway", "gateway-metrics", after=("ingest", "risk", "matcher", "recorder")),
)
ROOM_NAMES: Final = tuple(room.name for room in ROOMS)
TRADING_ROOMS: Final = tuple(room.name for room in ROOMS if room.is_trading)
"""What it takes to trade; the feature side needs more libraries, and seconds more to start."""


def standby_pair(room: str, *, stands_by: bool) -> tuple[str, ...]:
    """The components that a room consists of, in a stack with or without standbys."""
    has_standby = any(row.name == room and row.standby_port for row in ROOMS)
    return (room, room + STANDBY_SUFFIX) if stands_by and has_standby else (room,)


def room_environment(plan: Plan) -> dict[str, str]:
    """What every room, and the preparation before them, is told about the stack."""
    return os.environ | {
        "OUTCRY_HOME": plan.home,
        "OUTCRY_KAFKA_BOOTSTRAP": plan.addresses.kafka_bootstrap,
        "OUTCRY_REGISTRY_URL": plan.addresses.registry_url,
        "OUTCRY_PG_DSN": plan.addresses.pg_dsn,
        "OUTCRY_TOPIC_PREFIX": plan.topic_prefix,
        KEYS_FILE_VARIABLE: plan.keys_secret_file or str(plan.home_path / KEYS_FILE_NAME),
    }


def require_libraries(row: Room) -> None:
    """Say which part of the product is missing, before anything is started.

    Raises:
        StackError: a library that the room needs is not installed.
    """
    for library in row.libraries:
        # Faust, once imported, has no spec that could be found.
        if library not in sys.modules and importlib.util.find_spec(library) is None:
            raise StackError(
                f"the room {row.name} needs {library}, which is not installed:"
                f" pip install 'outcry[{row.name}]'; or leave it out: `outcry up --rooms ...`"
            )


def room(plan: Plan, row: Room) -> Component:
    metrics_port = plan.port_base + PORT_OFFSETS[row.metrics_port]
    ports = {f"{row.name} metrics": metrics_port}
    env = room_environment(plan) | {
        "OUTCRY_METRICS_PORT": str(metrics_port),
        "OUTCRY_INSTANCE": INSTANCE,
    }
    if plan.standby and row.standby_port:
        lock = run_directory(plan.home_path) / f"{row.name}.lead"
        env |= {"OUTCRY_STANDBY_LOCK": str(lock)}
    if row.name == "gateway":
        port = plan.port_base + PORT_OFFSETS["gateway"]
        ports = {"gateway": port} | ports
        env |= _gateway_environment(plan, port)
    if row.name == "inference":
        port = plan.port_base + PORT_OFFSETS["predict"]
        ports = {"inference": port} | ports
        env |= {"OUTCRY_INFERENCE_HOST": HOST, "OUTCRY_INFERENCE_PORT": str(port)}
        # What the page shows of a model is what the stream says; `0` in the environment ends it.
        env.setdefault("OUTCRY_INFERENCE_STREAM", "1")
    if row.name == "drift":
        # Its jobs are commands, which find the rest of the stack by its ports.
        env |= {"OUTCRY_PORT_BASE": str(plan.port_base)}
    # A standby takes the ids over itself, at once; to fence them here would be to fence it.
    is_fenced = row.is_transactional and not (plan.standby and row.standby_port)
    ids = transactional_ids(plan.topic_prefix, row.name, INSTANCE) if is_fenced else ()
    return Component(
        name=row.name,
        argv=(sys.executable, "-m", f"services.{row.name}"),
        env=env,
        ready=http_ok(metrics_port, "/ready"),
        answers=http_ok(metrics_port, "/health"),
        ports=ports,
        needs=(*plan.infra, PREPARE),
        after=row.after,
        on_death=fence(_kafka_port(plan), ids) if ids else None,
    )


def _gateway_environment(plan: Plan, port: int) -> dict[str, str]:
    env = {
        "OUTCRY_GATEWAY_HOST": HOST,
        "OUTCRY_GATEWAY_PORT": str(port),
        "OUTCRY_GATEWAY_ACCESS": plan.gateway_access,
    }
    if plan.gateways == 1:
        return env
    return env | {
        "OUTCRY_GATEWAY_PORT_SHARED": "1",
        "OUTCRY_GATEWAY_PROCESSES": str(plan.gateways),
        "OUTCRY_GATEWAY_SIGNATURES_FILE": str(run_directory(plan.home_path) / SIGNATURES_FILE_NAME),
    }


def more_gateways(plan: Plan) -> tuple[Component, ...]:
    """The gateways beside the first, on its port: each an instance of its own."""
    if "gateway" not in plan.rooms:
        return ()
    row = next(row for row in ROOMS if row.name == "gateway")
    first = room(plan, row)
    found = []
    for number in range(2, plan.gateways + 1):
        name = gateway_name(number)
        metrics_port = plan.port_base + PORT_OFFSETS[name]
        env = {"OUTCRY_METRICS_PORT": str(metrics_port), "OUTCRY_INSTANCE": str(number - 1)}
        found.append(
            replace(
                first,
                name=name,
                env={**first.env, **env},
                ready=http_ok(metrics_port, "/ready"),
                answers=http_ok(metrics_port, "/health"),
                ports={f"{name} metrics": metrics_port},
            )
        )
    return tuple(found)


def gateway_name(number: int) -> str:
    """What the component of this gateway is called, counted from 1."""
    return "gateway" if number == 1 else f"gateway-{number}"


def _kafka_port(plan: Plan) -> int:
    return int(plan.addresses.kafka_bootstrap.rpartition(":")[2])


def standby(plan: Plan, row: Room) -> Component:
    """The room's second process: same instance, same lock; which of the two works, they decide."""
    metrics_port = plan.port_base + PORT_OFFSETS[row.standby_port]
    first = room(plan, row)
    name = row.name + STANDBY_SUFFIX
    return replace(
        first,
        name=name,
        env={**first.env, "OUTCRY_METRICS_PORT": str(metrics_port)},
        ready=http_ok(metrics_port, "/ready"),
        ports={f"{name} metrics": metrics_port},
    )


def prepare(plan: Plan) -> Component:
    """Topics, schemas, database: everything rooms find in place; runs once at each start."""
    return Component(
        name=PREPARE,
        argv=(sys.executable, "-m", "services.tools.stack.prepare", *plan.rooms),
        env=room_environment(plan),
        ready=None,
        needs=plan.infra,
    )
