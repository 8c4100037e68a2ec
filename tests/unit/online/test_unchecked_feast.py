"""Feast comes without typeguard's checks, wherever a service imports it; others keep theirs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import typeguard

import services.online.unchecked_feast

ONLINE = Path(services.online.unchecked_feast.__file__).parent
UNCHECKED = "services.online.unchecked_feast"


def imported(source: str) -> list[str]:
    """What a module imports at its top level, in order."""
    names: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names


def is_checked_feast(source: str) -> bool:
    """Whether it imports Feast, and not the other module before it."""
    names = imported(source)
    feast = [at for at, name in enumerate(names) if name.partition(".")[0] == "feast"]
    return bool(feast) and UNCHECKED not in names[: feast[0]]


def test_every_module_that_imports_feast_imports_the_other_before() -> None:
    modules = list(ONLINE.parent.rglob("*.py"))
    assert [path for path in modules if is_checked_feast(path.read_text())] == []
    assert is_checked_feast("import os\nfrom feast.types import Float64\n")
    assert is_checked_feast(f"from feast import Entity\nimport {UNCHECKED}\n")


def test_feasts_classes_are_as_they_were_written() -> None:
    program = (
        "from services.online.catalog import FeatureView;"
        " print(*FeatureView.__init__.__code__.co_names)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "entities" in said
    assert "check_argument_types" not in said


def test_classes_of_others_are_still_checked() -> None:
    @typeguard.typechecked
    def double(number: int) -> int:
        return number * 2

    assert double(2) == 4
    with pytest.raises(typeguard.TypeCheckError):
        double("2")  # type: ignore[arg-type]
