"""Pages that sum others up say what those say."""

import re
from collections.abc import Iterator

import pytest

from services.tools.stack.rooms import ROOM_NAMES
from tests.tidy.tree import ROOT


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def unfounded(text: str, benchmarks: str) -> Iterator[str]:
    """Bullets without a command or a figure, and figures that the benchmarks do not have."""
    known = " ".join(benchmarks.split())
    for bullet in re.split(r"^- ", text, flags=re.MULTILINE)[1:]:
        figures = re.findall(r"\*\*(.+?)\*\*", bullet)
        if not figures or "`outcry " not in bullet:
            yield bullet.splitlines()[0]
        for figure in figures:
            if not re.search(rf"(?<![\d.,]){re.escape(figure)}(?!\d)", known):
                yield figure


def test_each_line_of_the_summary_has_a_command_and_figures_of_the_benchmarks() -> None:
    assert not list(unfounded(page("resume.md"), page("benchmarks.md")))


@pytest.mark.parametrize(
    "bullet", ["- fast: **12,345/s**. `outcry bench pipeline`", "- fast: **4,681/s**.", "- fast."]
)
def test_a_planted_figure_or_a_missing_command_is_found(bullet: str) -> None:
    assert list(unfounded(bullet, page("benchmarks.md")))


def test_the_picture_of_what_runs_has_every_room() -> None:
    picture = page("architecture.md").partition("### Containers")[2].partition("```\n")[0]
    drawn = set(re.findall(r"<b>(\w+)</b>.*:::room", picture))
    assert drawn == set(ROOM_NAMES)


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", page("glossary.md"), re.MULTILINE)[1:]
    assert rows == sorted(rows, key=str.lower)
    assert len(set(rows)) == len(rows) > 60
