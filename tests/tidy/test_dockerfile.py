"""infra/docker/Dockerfile against the rooms, their extras and the files that it copies."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest
from mlflow.environment_variables import MLFLOW_SERVER_ENABLE_JOB_EXECUTION

from services.runtime.telemetry import Telemetry, TelemetryServer
from services.tools.stack.rooms import ROOM_NAMES
from tests.support.containers import DOCKERFILE, Stage, read_stages
from tests.support.optional import missing_part
from tests.tidy.lock import pyproject
from tests.tidy.tree import ROOT

EXTRAS_OF_TOOLS: Final = "tools,stack,online,models,trainer,drift"
"""Drift's jobs are commands, so its image has what commands need."""
PARTS: Final = {room: EXTRAS_OF_TOOLS if room == "drift" else room for room in ROOM_NAMES}
METRICS_PORT: Final = 9100
PINNED: Final = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-[a-z-]+)?")
SERVED: Final = (*ROOM_NAMES, "tools", "mlflow")
"""The targets that a service runs."""


def findings(stages: dict[str, Stage]) -> Iterator[str]:
    """What is wrong with the targets of rooms."""
    for room, extras in PARTS.items():
        stage = stages.get(room)
        if stage is None:
            yield f"{room}: there is no target"
            continue
        if stage.argv("CMD") != ["python", "-m", f"services.{room}"]:
            yield f"{room}: it starts {stage.last('CMD')}"
        (source,) = re.findall(r"--from=(\S+) /opt/outcry ", " ".join(stage.all("COPY")))
        if stages[source].last("RUN") != f"install-part {extras}":
            yield f"{room}: it installs by {stages[source].last('RUN')!r}, not the extra {extras}"
    for name in SERVED:
        if name in stages and stages[name].last("USER") in {"", "root", "0"}:
            yield f"{name}: it runs as root"
    for stage in stages.values():
        if stage.image not in stages and not PINNED.fullmatch(stage.image):
            yield f"{stage.name}: {stage.image} is no pinned version"


def test_every_room_has_a_target_with_its_extra_alone_and_no_root() -> None:
    assert not list(findings(read_stages()))


@pytest.mark.parametrize(
    "of,instead,finding",
    [
        ("FROM room AS risk\n", "FROM room AS peril\n", "risk: there is no target"),
        ("install-part risk", "install-part risk,tools", "not the extra risk"),
        ('"services.risk"]', '"services.ingest"]', "risk: it starts"),
        ("USER 10001:10001", "USER root", "risk: it runs as root"),
        ("slim-trixie AS base", "slim-trixie AS ground", "build: base is no pinned version"),
        ("python:3.13.9-slim-trixie", "python:latest", "base: python:latest is no pinned version"),
    ],
)
def test_a_planted_fault_of_the_dockerfile_is_found(of: str, instead: str, finding: str) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert of in text
    planted = read_stages(text.replace(of, instead))
    assert any(finding in found for found in findings(planted))


def lint(file: Path) -> str:
    """What hadolint says of a Dockerfile; empty: nothing."""
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        missing_part("hadolint has no wheel for this platform")
    command: list[str | Path] = [program, "--no-color", "--no-fail", file]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_linter_of_dockerfiles_finds_nothing_and_a_planted_fault(tmp_path: Path) -> None:
    assert lint(DOCKERFILE) == ""
    planted = tmp_path / "Dockerfile"
    text = DOCKERFILE.read_text(encoding="utf-8")
    planted.write_text(text.replace("USER 10001:10001", "USER root"), encoding="utf-8")
    assert "DL3002" in lint(planted)


def test_extras_and_modules_that_the_dockerfile_names_exist() -> None:
    extras = set(tomllib.loads(pyproject())["project"]["optional-dependencies"])
    wanted = {extra for extras_of_part in PARTS.values() for extra in extras_of_part.split(",")}
    assert wanted <= extras
    assert all(importlib.util.find_spec(f"services.{room}.__main__") for room in ROOM_NAMES)
    assert read_stages()["tools"].argv("ENTRYPOINT") == ["python", "-m", "services.cli"]


def test_what_the_dockerfile_copies_is_there_and_is_sent_to_the_engine() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    copied = {
        word
        for stage in read_stages().values()
        for rest in stage.all("COPY")
        if not rest.startswith("--from")
        for word in rest.split()[:-1]
    }
    missing = {path for path in copied if not (ROOT / path).exists()}
    unsent = {
        path
        for path in copied
        if not any(fnmatch(path, line) or path.startswith(f"{line}/") for line in sent)
    }
    assert copied >= {"services", "schemas", "infra", "web/src"}
    assert (missing, unsent) == (set(), set())
    assert {path for path in sent if not (ROOT / path).exists()} == set()


def test_python_and_mlflow_are_those_of_the_lock() -> None:
    stages = read_stages()
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    wanted = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert stages["base"].image.startswith(f"python:{wanted}.")
    assert f"\nmlflow-skinny=={stages['mlflow'].image.partition(':v')[2]} " in lock


def test_mlflows_server_starts_no_executors_of_jobs() -> None:
    # MLflow reads it under this name, and takes the default, which is true, for any other.
    switch = MLFLOW_SERVER_ENABLE_JOB_EXECUTION
    assert read_stages()["mlflow"].environment()[switch.name] == "false"


def test_a_rooms_healthcheck_asks_what_the_room_answers() -> None:
    check = read_stages()["risk"].argv("HEALTHCHECK")
    telemetry = Telemetry("risk")
    server = TelemetryServer(telemetry, "127.0.0.1", 0)

    def ask() -> int:
        code = check[-1].replace(f":{METRICS_PORT}/", f":{server.port}/")
        assert code != check[-1]
        return subprocess.run(
            [sys.executable, *check[1:-1], code], check=False, capture_output=True
        ).returncode

    try:
        assert ask() == 1, "it is not ready yet"
        telemetry.ready.set()
        assert ask() == 0
    finally:
        server.close()
    assert read_stages()["risk"].environment()["OUTCRY_METRICS_PORT"] == str(METRICS_PORT)
