"""Tables of what happens when: the tests they name exist, and each row has one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rows_of(page: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in {"fault", "change"}]


def names_in(folder: Path) -> set[str]:
    found: set[str] = set()
    for path in folder.rglob("test_*.py"):
        found |= set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
    return found


def faults_of(page: str, known: set[str]) -> list[str]:
    faults = []
    for row in rows_of(page):
        named = re.findall(r"`(test_\w+)`", row[-1])
        if not named:
            faults.append(f"{row[0]}: no test")
        faults += [f"{row[0]}: {name} does not exist" for name in named if name not in known]
    return faults


@pytest.mark.parametrize("name,least", [("failure-modes.md", 20), ("feature-evolution.md", 5)])
def test_every_row_names_tests_that_exist(name: str, least: int) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert len(rows_of(page)) >= least
    assert faults_of(page, names_in(ROOT / "tests")) == []


def test_a_row_without_a_test_or_with_a_wrong_one_is_found() -> None:
    page = "| fault | test |\n| a | `test_gone` |\n| b | none |\n"
    assert faults_of(page, {"test_here"}) == ["a: test_gone does not exist", "b: no test"]
