"""The page of planted bugs lists those that there are, and where each is planted."""

from pathlib import Path
from typing import Final

from services.tools.proof.vopr.commands import HUNTS
from services.tools.proof.vopr.mutations import MUTATIONS
from services.tools.proof.vopr.parts import Parts

PAGE: Final = Path(__file__).parents[2] / "docs" / "planted-bugs.md"
REAL: Final = ("loop", "restorer", "risk", "matcher")
STAND_INS: Final = ("consumer", "producer", "ledger")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def planted_in(parts: Parts) -> str:
    """The parts that are not as they are, stand-ins marked."""
    usual = Parts()
    marked = [(name, name) for name in REAL] + [(name, f"{name}*") for name in STAND_INS]
    return ", ".join(
        shown for name, shown in marked if getattr(parts, name) != getattr(usual, name)
    )


def test_the_table_has_a_row_of_each_planted_bug() -> None:
    wanted = [[f"`{m.name}`", m.breaks, planted_in(m.parts)] for m in MUTATIONS]
    assert [row[:3] for row in rows()] == wanted


def test_every_row_says_how_soon_from_each_start_and_what_found_it() -> None:
    checks = {"crash", "stages", "states", "snapshots", "views", "takeover", "rows", "audit"}
    for name, _, _, median, starts, found_by in rows():
        counts = sorted(map(int, starts.split()))
        assert len(counts) == HUNTS == 3, name
        assert counts[0] >= 1, name
        assert int(median) == counts[1], name
        assert found_by in checks, name


def test_more_are_planted_in_the_rooms_own_parts_than_ten() -> None:
    real = [m for m in MUTATIONS if "*" not in planted_in(m.parts)]
    assert len(real) >= 10
