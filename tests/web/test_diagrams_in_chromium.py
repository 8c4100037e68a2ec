"""Every Mermaid diagram of our pages, drawn as a reader's browser draws it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import msgspec
import pytest

from tests.support.chromium import Tab, browsing
from tests.support.web_page import WEB, install_packages
from tests.tidy.tree import Source, sources_with

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

_BLOCK = re.compile(r"^```mermaid\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"error on line (\d+)", re.IGNORECASE)
_DRAW = """async (text) => {
  mermaid.initialize({startOnLoad: false});
  try {
    const {svg} = await mermaid.render("drawn", text);
    document.body.innerHTML = svg;
    return "";
  } catch (error) {
    return String(error.message ?? error) || "it was not drawn";
  }
}"""


class Diagram(msgspec.Struct, frozen=True):
    """One block of a page."""

    page: PurePosixPath
    line: int
    """Of the first line of its text, counted from one."""
    text: str


def diagrams_of(source: Source) -> Iterator[Diagram]:
    for found in _BLOCK.finditer(source.text):
        line = source.text.count("\n", 0, found.start("text")) + 1
        yield Diagram(source.path, line, found["text"])


async def faults_of(diagrams: Sequence[Diagram], tab: Tab) -> list[str]:
    """Those that Mermaid refuses or draws as nothing, each by its place."""
    await tab.open("about:blank")
    await tab.page.add_script_tag(path=WEB / "node_modules/mermaid/dist/mermaid.min.js")
    faults = []
    for diagram in diagrams:
        said = await tab.page.evaluate(_DRAW, diagram.text)
        shapes = await tab.ask("document.querySelectorAll('svg .node, svg .actor').length")
        if said or not shapes:
            inside = _LINE.search(said)
            # Of a bracket that nothing closes it says the line after the last.
            last = diagram.line + diagram.text.count("\n") - 1
            line = min(diagram.line + int(inside[1]) - 1, last) if inside else diagram.line
            faults.append(f"{diagram.page}:{line}: {said or 'a picture of nothing'}")
        await tab.ask("document.body.replaceChildren()")
    return faults


async def test_every_diagram_is_drawn() -> None:
    install_packages()
    diagrams = [one for source in sources_with(".md") for one in diagrams_of(source)]
    assert {str(one.page) for one in diagrams} >= {"README.md", "docs/architecture.md"}
    async with browsing() as tab:
        assert await faults_of(diagrams, tab) == []
        assert tab.complaints == []


@pytest.mark.parametrize(
    "broken, line",
    [("a --> b\n    b -->> ]c", 6), ("a[open --> b", 5), ("%% nothing", 4)],
    ids=["no such arrow", "a bracket left open", "nothing in it"],
)
async def test_a_planted_fault_is_found_where_it_is(broken: str, line: int) -> None:
    install_packages()
    page = f"# A page\n\n```mermaid\nflowchart LR\n    {broken}\n```\n"
    async with browsing() as tab:
        (fault,) = await faults_of(list(diagrams_of(Source(PurePosixPath("docs/a.md"), page))), tab)
    assert fault.startswith(f"docs/a.md:{line}: ")
