"""A Prometheus on a running stack: its configuration, its process, and questions to it."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec

from services.tools.stack.errors import StackError
from services.tools.stack.fetch import INFRA_DIRECTORY
from services.tools.stack.plan import Plan
from services.tools.stack.rooms import ROOMS, STANDBY_SUFFIX, gateway_name
from services.tools.stack.settings import HOST, PORT_OFFSETS
from services.tools.stack.status import run_directory

JOB: Final = "outcry"
RULES: Final = INFRA_DIRECTORY / "prometheus"
SCRAPE_LIMITS: Final = MappingProxyType(
    {
        "sample_limit": 20_000,
        "label_limit": 16,
        "label_name_length_limit": 64,
        "label_value_length_limit": 256,
    }
)
"""Beyond these a scrape is refused, and the room counts as down.

The list of metrics and the limits of their labels allow a room 10,000 series (drift's; a gateway
7,000): twice that is a fault of ours, and Prometheus is not to die of it.
"""
_READY_WAIT_S: Final = 60.0
_STOP_WAIT_S: Final = 20.0
_POLL_S: Final = 0.1
_ANSWER_S: Final = 30.0


class Answer(msgspec.Struct, frozen=True):
    """What Prometheus says to a query."""

    values: tuple[float, ...]
    """The present value of each series."""
    error: str = ""
    """Why there is no answer at all."""

    @property
    def is_finite(self) -> bool:
        """Whether one of them is a number to draw."""
        return any(math.isfinite(value) for value in self.values)


def metrics_ports(plan: Plan) -> dict[str, int]:
    """Where each process of the plan's rooms shows its metrics, each under a name of its own."""
    ports = {}
    for row in ROOMS:
        if row.name in plan.rooms:
            ports[row.name] = plan.port_base + PORT_OFFSETS[row.metrics_port]
            if plan.standby and row.standby_port:
                standby = row.name + STANDBY_SUFFIX
                ports[standby] = plan.port_base + PORT_OFFSETS[row.standby_port]
    if "gateway" in plan.rooms:
        for number in range(2, plan.gateways + 1):
            name = gateway_name(number)
            ports[name] = plan.port_base + PORT_OFFSETS[name]
    return ports


def plan_of(home: Path) -> Plan:
    """The plan that a stack was last started with.

    Raises:
        StackError: no stack was ever started there.
    """
    try:
        content = (run_directory(home) / "plan.json").read_bytes()
    except FileNotFoundError:
        raise StackError(f"no stack was started in {home}; `outcry up` does") from None
    return msgspec.json.decode(content, type=Plan)


def configuration(ports: Mapping[str, int], interval_s: float) -> str:
    """What Prometheus is started with; JSON, which is YAML too."""
    interval = f"{round(interval_s * 1_000)}ms"
    targets = [
        {"targets": [f"{HOST}:{port}"], "labels": {"room": name.removesuffix(STANDBY_SUFFIX)}}
        for name, port in ports.items()
    ]
    return json.dumps(
        {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": [str(RULES / "alerts.yml"), str(RULES / "recording.yml")],
            "scrape_configs": [
                # Drift's metrics have a label `job` of their own.
                {
                    "job_name": JOB,
                    "honor_labels": True,
                    **SCRAPE_LIMITS,
                    "static_configs": targets,
                }
            ],
        },
        indent=1,
    )


@contextmanager
def running(folder: Path, port: int, ports: Mapping[str, int], interval_s: float) -> Iterator[str]:
    """Prometheus, scraping these ports, its data in `folder`; gives its address.

    Raises:
        StackError: it is not installed, or did not start.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise StackError("prometheus is not installed (Debian: apt install prometheus)")
    folder.mkdir(parents=True, exist_ok=True)
    config, log = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(configuration(ports, interval_s), encoding="utf-8")
    address = f"http://{HOST}:{port}"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "services.tools.observe.tied",
                str(os.getpid()),
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=7d",
                f"--web.listen-address={HOST}:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_ready(process, address, log)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    give_up_at_s = time.monotonic() + _READY_WAIT_S
    while time.monotonic() < give_up_at_s:
        if process.poll() is not None:
            raise StackError(f"prometheus ended with {process.returncode}; see {log}")
        try:
            with urlopen(f"{address}/-/ready", timeout=_ANSWER_S):  # noqa: S310 - http, ours
                return
        except (URLError, OSError):
            time.sleep(_POLL_S)
    raise StackError(f"prometheus was not ready after {_READY_WAIT_S:.0f} s; see {log}")


def ask(address: str, expression: str) -> Answer:
    """A query's answer as of now."""
    found = _get(address, "query", {"query": expression})
    if isinstance(found, str):
        return Answer((), found)
    if found["resultType"] == "scalar":
        return Answer((float(found["result"][1]),))
    return Answer(tuple(float(series["value"][1]) for series in found["result"]))


class Line(msgspec.Struct, frozen=True):
    """A series over time."""

    labels: Mapping[str, str]
    times_s: tuple[float, ...]
    """Seconds since the epoch."""
    values: tuple[float, ...]


def ask_past(address: str, expression: str, past_s: float, step_s: float) -> list[Line]:
    """A query's answers over the time until now; none if there is no answer."""
    now_s = time.time()
    arguments = {
        "query": expression,
        "start": f"{now_s - past_s:.3f}",
        "end": f"{now_s:.3f}",
        "step": f"{step_s:g}",
    }
    found = _get(address, "query_range", arguments)
    if isinstance(found, str):
        return []
    return [
        Line(
            series["metric"],
            tuple(float(at) for at, _ in series["values"]),
            tuple(float(value) for _, value in series["values"]),
        )
        for series in found["result"]
    ]


def _get(address: str, what: str, arguments: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON's
    """The data of an answer; or, as text, why there is none."""
    try:
        url = f"{address}/api/v1/{what}?{urlencode(arguments)}"
        with urlopen(url, timeout=_ANSWER_S) as answer:  # noqa: S310 - http, ours
            return json.load(answer)["data"]
    except (URLError, OSError) as error:
        return str(error)
