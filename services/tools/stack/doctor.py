"""What this machine has of what the stack needs, and how to get the rest."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from services.tools.stack.errors import StackError
from services.tools.stack.fetch import KAFKA, REGISTRY, directory_of
from services.tools.stack.portcheck import holder, is_free
from services.tools.stack.programs import java
from services.tools.stack.settings import PORT_OFFSETS, StackSettings
from services.tools.stack.status import read_live_status

JAVA_MIN: Final = 17
DISK_FREE_MIN_GB: Final = 3.0
"""Components 0.2 GB; Kafka and PostgreSQL a few hundred bytes an order."""
MEMORY_FREE_MIN_GB: Final = 1.5
"""Kafka 0.4, registry 0.3, PostgreSQL 0.1, rooms 0.1 each."""

_OPTIONAL: Final = (
    ("docker", "for `docker compose up`", "Debian: apt install docker.io"),
    ("redis-server", "an online store faster than SQLite", "Debian: apt install redis-server"),
    ("prometheus", "metrics kept over time", "Debian: apt install prometheus"),
    ("chromium", "the web page's tests", "Debian: apt install chromium"),
    ("node", "the web page's checks", "Debian: apt install nodejs"),
)


class Check(msgspec.Struct, frozen=True):
    """One thing looked for."""

    name: str
    required: bool
    ok: bool
    found: str
    advice: str = ""
    """How to get it; empty if it is there."""


def examine(settings: StackSettings) -> tuple[Check, ...]:
    """All checks, the required ones first; blocks for a second or so."""
    return (
        _system(),
        _python(),
        _java(),
        _maven(settings),
        _program("cc", "a C compiler", "Debian: apt install build-essential", required=True),
        _postgres(settings),
        _disk(settings.home),
        _memory(),
        _ports(settings),
        *(_program(name, use, advice, required=False) for name, use, advice in _OPTIONAL),
    )


def _system() -> Check:
    return _check(
        "system",
        ok=sys.platform == "linux",
        found=sys.platform,
        advice="the supervisor needs Linux (pidfd, parent-death signals); use Linux or a container",
    )


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return _check(
        "python",
        ok=sys.version_info[:2] == (3, 13),
        found=version,
        advice="install Python 3.13 and run `make setup`",
    )


def _java() -> Check:
    advice = f"install {JAVA_MIN} or later (Debian: apt install openjdk-17-jre-headless)"
    try:
        major = java_major(java())
    except StackError:
        return _check("java", ok=False, found="missing", advice=advice)
    found = "of an unknown version" if major is None else str(major)
    return _check("java", ok=major is not None and major >= JAVA_MIN, found=found, advice=advice)


def java_major(program: str) -> int | None:
    """The major version a `java` says it is; None if it says nothing of the kind."""
    try:
        run = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=20)  # noqa: PLW1510 - its words count, not its exit code
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Up to Java 8 the first number was 1: "1.8.0_402".
    found = re.search(r'version "(?:1\.)?(\d+)', run.stderr + run.stdout)
    return int(found[1]) if found else None


def _maven(settings: StackSettings) -> Check:
    """Needed until the components are there."""
    missing = [
        download.title
        for download in (KAFKA, REGISTRY)
        if not directory_of(download, settings.components).is_dir()
    ]
    program = shutil.which("mvn")
    downloads = f"will fetch {' and '.join(missing)}" if missing else "everything is fetched"
    return Check(
        name="mvn",
        required=bool(missing),
        ok=program is not None,
        found=f"{program or 'missing'}; {downloads}",
        advice="" if program else "install Maven (Debian: apt install maven)",
    )


def _postgres(settings: StackSettings) -> Check:
    from services.tools.stack.programs import postgres_programs

    if settings.pg_dsn is not None:
        return _check("postgres", ok=True, found="OUTCRY_PG_DSN names a server", advice="")
    try:
        postgres_programs()
    except StackError as error:
        return _check("postgres", ok=False, found="missing", advice=str(error))
    return _check("postgres", ok=True, found="embedded", advice="")


def _disk(home: Path) -> Check:
    standing = next(path for path in (home, *home.parents) if path.is_dir())
    free_gb = shutil.disk_usage(standing).free / 1e9
    return _check(
        "disk",
        ok=free_gb >= DISK_FREE_MIN_GB,
        found=f"{free_gb:.1f} GB free at {standing}",
        advice=f"free {DISK_FREE_MIN_GB:.0f} GB, or set OUTCRY_HOME to a larger disk",
    )


def _memory() -> Check:
    import psutil

    free_gb = psutil.virtual_memory().available / 1e9
    return _check(
        "memory",
        ok=free_gb >= MEMORY_FREE_MIN_GB,
        found=f"{free_gb:.1f} GB available, {os.cpu_count()} processors",
        advice=f"free {MEMORY_FREE_MIN_GB} GB of memory",
    )


def _ports(settings: StackSettings) -> Check:
    ports = {name: settings.port(name) for name in PORT_OFFSETS}
    span = f"{min(ports.values())} to {max(ports.values())}"
    if read_live_status(settings.home) is not None:
        return _check("ports", ok=True, found=f"{span}, used by the stack that runs", advice="")
    taken = taken_ports(ports, is_free)
    found = "; ".join(f"{port} ({name}) taken by {holder(port)}" for name, port in taken.items())
    return _check(
        "ports",
        ok=not taken,
        found=found or f"{span} are free",
        advice="stop what takes them, or set OUTCRY_PORT_BASE",
    )


def taken_ports(ports: Mapping[str, int], free: Callable[[int], bool]) -> dict[str, int]:
    return {name: port for name, port in ports.items() if not free(port)}


def _program(name: str, use: str, advice: str, *, required: bool) -> Check:
    program = shutil.which(name)
    return Check(
        name=name,
        required=required,
        ok=program is not None,
        found=program or f"missing: {use}",
        advice="" if program else advice,
    )


def _check(name: str, *, ok: bool, found: str, advice: str) -> Check:
    return Check(name=name, required=True, ok=ok, found=found, advice="" if ok else advice)
