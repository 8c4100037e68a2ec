"""Ties requirements.lock to the dependencies in pyproject.toml; `make lock` runs it.

Resolving again would need the network, so the lock carries a hash of what it was
resolved from, and the tidy tests compare that.
"""

import hashlib
import json
import re
import tomllib
from typing import Final

from tests.tidy.tree import ROOT

LOCK: Final = ROOT / "requirements.lock"
_RECORD: Final = re.compile(r"^# resolved from dependencies with sha256 (\w+)\n", re.MULTILINE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PIN: Final = re.compile(r"^([a-z0-9][a-z0-9.-]*)==", re.MULTILINE)


def pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def dependency_hash(text: str) -> str:
    """The hash of everything in a pyproject.toml that decides what gets installed."""
    project = tomllib.loads(text)["project"]
    deciding = [
        project["requires-python"],
        project["dependencies"],
        project["optional-dependencies"],
    ]
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def direct_names(text: str) -> set[str]:
    """Normalised names of the distributions a pyproject.toml asks for itself."""
    project = tomllib.loads(text)["project"]
    requirements = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        requirements += extra
    return {normalised(requirement) for requirement in requirements}


def locked_names(lock: str) -> set[str]:
    return set(_PIN.findall(lock))


def recorded_hash(lock: str) -> str | None:
    """What the lock says it was resolved from, if it says so."""
    found = _RECORD.search(lock)
    return found[1] if found else None


def with_record(lock: str, digest: str) -> str:
    """The lock with its record put in, or put right."""
    return f"# resolved from dependencies with sha256 {digest}\n" + _RECORD.sub("", lock)


def normalised(requirement: str) -> str:
    """The name in a requirement, as an index compares it."""
    found = _NAME.match(requirement)
    assert found is not None, f"no name in the requirement {requirement!r}"
    return re.sub(r"[-_.]+", "-", found[0]).lower()


if __name__ == "__main__":
    LOCK.write_text(
        with_record(LOCK.read_text(encoding="utf-8"), dependency_hash(pyproject())),
        encoding="utf-8",
    )
