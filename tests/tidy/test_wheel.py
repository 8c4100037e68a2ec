"""What a wheel carries, and that each room's extra names all that the room imports."""

import os
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from tests.tidy.lock import normalised, pyproject
from tests.tidy.tree import ROOT

# What every installation has; all other packages are parts with extras of their own.
GROUND = {"domain", "featuresets", "wire", "runtime"}
PARTS = sorted({file.parent.name for file in ROOT.glob("services/*/__init__.py")} - GROUND)
# Imported only where traces are wanted; what they need is the extra `tracing`.
TRACING = {"services.runtime.spans", "services.gateway.command_traces"}
COUNT_SCHEMAS = """
import services
from services.wire.schemas import load_schemas
print(services.__file__, len(load_schemas()))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files, as an installation would lay them."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def test_an_installed_wheel_finds_its_schemas_without_a_checkout(installed: Path) -> None:
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            COUNT_SCHEMAS,
        ],
        cwd=installed,
        env=os.environ | {"PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    in_checkout = [file for file in ROOT.glob("schemas/*/*.avsc") if file.parent.name != "golden"]
    assert answer == [str(installed / "services" / "__init__.py"), str(len(in_checkout))]


def test_a_wheel_carries_the_code_and_none_of_the_tests(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert tops == {"services"}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_installs_alone_with_its_extra(part: str) -> None:
    of_tools = {"bench", "stack", "tools", "online", "models", "trainer", "drift"}
    extras = of_tools if part == "tools" else {part}
    missing = imported_distributions(f"services.{part}") - promised(extras)
    assert not missing, f"not in pyproject.toml's extra {' or '.join(sorted(extras))}: {missing}"


def test_an_import_that_is_not_promised_is_found() -> None:
    assert imported_distributions("services.wire") - promised(set()) == set()
    assert "fastavro" in imported_distributions("services.wire") - (promised(set()) - {"fastavro"})


def test_what_only_traces_need_is_reached_where_they_are_opened_and_nowhere_else() -> None:
    openers = {"services.runtime.tracing", "services.gateway.service"}
    whole = build()
    for module in TRACING:
        assert whole.find_modules_that_directly_import(module) <= openers | TRACING
    extra = promised({"tracing"}) - promised(set())
    assert extra and all(name.startswith("opentelemetry-") for name in extra)  # noqa: PT018
    importers = whole.find_modules_that_directly_import("opentelemetry")
    assert importers == TRACING


@cache
def graph() -> grimp.ImportGraph:
    found = build()
    for module in TRACING:
        found.remove_module(module)
    return found


def build() -> grimp.ImportGraph:
    return grimp.build_graph(
        "services",
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


def imported_distributions(package: str) -> set[str]:
    """The distributions reached from a package by any chain of imports."""
    owners = packages_distributions()
    reached = graph().find_upstream_modules(package, as_package=True)
    return {
        normalised(owner)
        for module in reached
        if (top := module.partition(".")[0]) != "services" and top not in sys.stdlib_module_names
        for owner in owners[top]
    }


def promised(extras: set[str]) -> set[str]:
    """The distributions that an installation with these extras asks for itself."""
    project = tomllib.loads(pyproject())["project"]
    requirements = list(project["dependencies"])
    for extra in extras:
        requirements += project["optional-dependencies"][extra]
    return {normalised(requirement) for requirement in requirements}
