"""Commands and programs as pages print them, for tests to run as they stand.

A test asks for one by literals: `example("README.md", "Trade", "sh")`. tests/tidy/test_examples.py
looks for these calls: each fenced block of commands or Python has one, or is listed in `UNRUN`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
LANGUAGES: Final = ("sh", "python")
_BLOCK: Final = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_OPENERS: Final = frozenset({"for", "while", "if", "{"})
_CLOSERS: Final = frozenset({"done", "fi", "}"})

_TESTS = "it runs the tests"
_ENGINE = "needs an engine for containers, which tests/integration/containers asks for its own way"
_OWN_SET = "the set is the reader's: tests/unit/featuresets/test_extending_page.py makes it"
_LOAD = "takes minutes; tests/integration/pages runs every scenario for some seconds"
_SHORTER = "takes minutes; half an hour of it is made as docs/training.md's two runs do"
_LOG = "needs twenty minutes of trades in the log, as tests/integration/pipeline puts there"
_CARD = "takes minutes: `make model-card` does it; with half an hour docs/training.md is run"

UNRUN: Final[Mapping[str, Mapping[str, str]]] = {
    "README.md": {
        "make demo": "`make setup` and `outcry demo`, which tests/integration/demo runs",
        "make test": _TESTS,
        "make setup": "makes the .venv in which tests run",
        "outcry history simulate crowd.csv.gz": _SHORTER,
        "outcry pipeline run --source kafka": _LOG,
        "outcry vopr --mutations": "takes minutes; tests/unit/vopr/test_mutations.py plants some",
        "make chaos SEED=1": "takes minutes; tests/chaos is its short form",
        "make soak HOURS=4": "takes hours; tests/integration/soak is its short form",
        "outcry observe check": "ends with 1 while nobody asks for predictions; `make observe-test`"
        " asks the same questions with every room and somebody who does",
        "outcry bench all --quick": "takes many minutes;"
        " tests/unit/bench/test_run_all.py does its part",
        "outcry bench peers --only matching": "takes minutes;"
        " tests/unit/bench/test_peers.py does its part",
        "outcry load rest --rate 50": _LOAD,
    },
    "CONTRIBUTING.md": {
        "make setup": "makes the .venv in which tests run",
        "make test TESTS=tests/unit": _TESTS,
        "make test": _TESTS,
        "make format": "changes the code that is tested",
    },
    "docs/benchmarks.md": {
        "outcry load rest --users 20 --rate 50 --duration 60": _LOAD,
        "outcry load mixed --own": _LOAD,
        "outcry load orders --rate 100 --rate 200 --rate 400 --duration 20 --own": _LOAD,
    },
    "docs/extending.md": {
        "outcry features backfill --set tape_v1": _OWN_SET,
        "outcry train --set tape_v1": _OWN_SET,
        "OUTCRY_FEATURES_SETS=microstructure_v1,tape_v1 outcry up --detach": _OWN_SET,
        "outcry features parity": _OWN_SET,
    },
    "docs/model-card.md": {
        "outcry history simulate crowd.csv.gz --seed 7 --hours 2 --rate 20": _CARD,
        "outcry history ingest trades crowd.csv.gz": _CARD,
        "outcry features backfill --set microstructure_v1": _CARD,
        "outcry train": _CARD,
    },
    "docs/history.md": {
        "outcry history simulate crowd.csv.gz --seed 7 --hours 2": _SHORTER,
        "outcry history stream --ticker AAPL --speed 60": "README.md's is run",
    },
    "docs/training.md": {
        "outcry history simulate crowd.csv.gz --seed 7 --hours 2 --rate 20": _SHORTER,
        "outcry pipeline run --trades crowd.csv.gz": "README.md's is run",
        "outcry simulate --rate 20 --orders 6000 &": "takes five minutes, and the answer the first",
        "outcry pipeline run --source kafka": _LOG,
        "outcry pipeline run --lobster AAPL_2012-06-21_34200000_57600000_message_10.csv"
        " --ticker AAPL": "the file is LOBSTER's, of a whole day",
    },
    "infra/docker/README.md": {
        "{": _ENGINE,
        "docker compose up --build --detach": _ENGINE,
        "docker compose run --rm tools mark set AAPL 187.20": _ENGINE,
        "docker compose run --rm tools accounts open alice --position-max 10000"
        " --notional-max 1000000 --exposure-max 2000000": _ENGINE,
        "docker compose run --rm tools keys create --account alice --scope read --scope trade": (
            _ENGINE
        ),
        "docker compose run --rm tools audit": _ENGINE,
        "docker compose down": _ENGINE,
    },
}
"""By page the commands that no test runs as they are printed, and why; by their first lines."""


class Block(NamedTuple):
    """One fenced block of a page, its indent taken off."""

    heading: str
    language: str
    line: int
    code: str


def blocks_of(page: str) -> Iterator[Block]:
    """Those in a language that can be run, in order."""
    plain = _BLOCK.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), page)
    headings = [(found.start(), found[1]) for found in _HEADING.finditer(plain)]
    for found in _BLOCK.finditer(page):
        if found[2] not in LANGUAGES:
            continue
        heading = [title for start, title in headings if start < found.start()][-1]
        code = "".join(line.removeprefix(found[1]) for line in found[3].splitlines(keepends=True))
        yield Block(heading, found[2], page.count("\n", 0, found.start()) + 1, code)


def commands_of(code: str) -> Iterator[str]:
    """The commands of shell code, each whole: continued lines are one, a loop with its body too."""
    gathered, depth, is_continued = "", 0, False
    for line in code.splitlines(keepends=True):
        words = line.split(maxsplit=1)[:1]
        if not is_continued:
            depth += (words[0] in _OPENERS) - (words[0] in _CLOSERS) if words else 0
        is_continued = line.endswith("\\\n")
        gathered += line
        if depth == 0 and not is_continued:
            if words:
                yield gathered
            gathered = ""


def left_to_run(block: Block, unrun: Mapping[str, str]) -> str:
    """The code without those of its commands that are listed."""
    if block.language == "python":
        return block.code
    return "".join(command for command in commands_of(block.code) if head_of(command) not in unrun)


def head_of(command: str) -> str:
    """Its first line without a remark: what `UNRUN` lists it by."""
    return re.sub(r"\s+# .*", "", command.splitlines()[0]).strip()


def example(page: str, heading: str, language: str) -> str:
    """The code of this language under the heading, but for the commands of `UNRUN`."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [
        left_to_run(block, UNRUN.get(page, {}))
        for block in blocks_of(text)
        if (block.heading, block.language) == (heading, language)
    ]
    assert any(found), f"{page} has no {language} under {heading}"
    return "".join(found)
