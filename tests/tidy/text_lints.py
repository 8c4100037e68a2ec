"""Rules for every text file and for Markdown, each a function from a source to its findings."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from tests.tidy.tree import ROOT, Source

# One letter of each stands in brackets, so that this file passes its own rules.
_UNFINISHED: Final = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")
_ONE_MACHINE: Final = re.compile(
    r"(?<![\w.$}])/(?:roo[t]|wor[k]|far[m]|home/\w+|Users/\w+)/"
    r"|pypi\.or[g]/simple|pythonhoste[d]\.|registry\.npmj[s]|crates\.i[o]/api"
    r"|repo1?\.mave[n]|proxy\.golan[g]|deb\.debia[n]"
    r"|--(?:extra-)?index-ur[l]|--find-link[s]",
    re.IGNORECASE,
)
_HEADING: Final = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$")
_LINK: Final = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_OUTSIDE: Final = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_CODE: Final = re.compile(r"`([^`]+)`")
_PATH: Final = re.compile(
    r"(?:docs|feature_repo|infra|schemas|services|tests|web)/[\w.-]+(?:/[\w.-]+)*/?"
)
_MADE: Final = frozenset({"services/featuresets/tape_v1.py", "web/dist"})
"""Paths of what a page has its reader write or build."""
_MAKE: Final = re.compile(r"(?:^|`|\$ )make ([a-z][a-z-]*)")
_TARGET: Final = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def unfinished_work(source: Source) -> Iterator[str]:
    """What is left to do stands in an issue, where it is seen, not in the code."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := _UNFINISHED.search(line):
            yield source.at(number, f"{found[0]} in a finished file")


def one_machine_only(source: Source) -> Iterator[str]:
    """Nothing names one machine's folders or one network's package index."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := _ONE_MACHINE.search(line):
            yield source.at(number, f"{found[0]!r} exists on one machine or network only")


def titles(source: Source) -> Iterator[str]:
    """A page has one title, in its first line of text."""
    levels = [(number, len(marks)) for number, marks, _ in _headings(source.text)]
    firsts = [number for number, level in levels if level == 1]
    if len(firsts) != 1:
        yield source.at(1, f"{len(firsts)} titles (lines that begin with one #), one is wanted")
    for (_, above), (number, level) in pairwise(levels):
        if level > above + 1:
            yield source.at(number, f"a heading of level {level} under one of level {above}")


def broken_links(source: Source) -> Iterator[str]:
    """Links inside the repository lead to a file, and to a heading where they name one."""
    for number, line in _prose(source.text):
        for target in _LINK.findall(line):
            if _OUTSIDE.match(target):
                continue
            name, _, anchor = target.partition("#")
            file = (ROOT / source.path).parent / name
            if name and not file.exists():
                yield source.at(number, f"the link {target} leads nowhere")
                continue
            if anchor and (not name or file.suffix == ".md"):
                text = file.read_text(encoding="utf-8") if name else source.text
                if anchor not in anchors(text):
                    yield source.at(number, f"{target}: the page has no such heading")


def missing_paths(source: Source) -> Iterator[str]:
    """A file or folder that a page names in code, from the root on, is there."""
    for number, line in _prose(source.text):
        for code in _CODE.findall(line):
            for word in code.split():
                if word in _MADE or not _PATH.fullmatch(word):
                    continue
                if not (ROOT / word).exists():
                    yield source.at(number, f"there is no {word}")


def unknown_commands(source: Source) -> Iterator[str]:
    """A `make` command that a page tells people to run is in the Makefile."""
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    for number, line in enumerate(source.text.splitlines(), 1):
        for target in _MAKE.findall(line):
            if target not in targets:
                yield source.at(number, f"the Makefile has no {target}")


def anchors(text: str) -> set[str]:
    """The anchors a forge gives to a page's headings."""
    return {
        re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).replace(" ", "-")
        for _, _, title in _headings(text)
    }


def _headings(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in _prose(text):
        if found := _HEADING.match(line):
            yield number, found[1], found[2]


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside fenced code."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = line.lstrip()[:3]
        if mark in {"```", "~~~"}:
            fence = "" if fence == mark else fence or mark
        elif not fence:
            yield number, line
