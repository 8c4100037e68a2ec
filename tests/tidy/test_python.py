from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest

from tests.tidy import python_lints
from tests.tidy.tree import Source, sources_with

type Lint = Callable[[Source], Iterator[str]]

LONG = python_lints.FUNCTION_LINES_MAX
# Each rule with a source that breaks it, so that a rule gone blind is seen.
PLANTED: list[tuple[Lint, str, str]] = [
    (python_lints.long_functions, "services/a.py", "def f():\n" + "    x = 1\n" * LONG),
    (python_lints.long_functions, "services/a.py", "async def f():\n" + "    x = 1\n" * LONG),
    (python_lints.long_files, "services/a.py", "x = 1\n" * (python_lints.FILE_LINES_MAX + 1)),
    (
        python_lints.long_files,
        "services/risk/__main__.py",
        "x = 1\n" * (python_lints.MAIN_LINES_MAX + 1),
    ),
    (python_lints.vague_names, "services/utils.py", ""),
    (python_lints.vague_names, "services/order_manager.py", ""),
    (python_lints.vague_names, "services/common/orders.py", ""),
    (python_lints.vague_names, "services/a.py", "class OrderManager: ..."),
    (python_lints.unstable_arithmetic, "services/domain/a.py", "x = 0.5"),
    (python_lints.unstable_arithmetic, "services/risk/core/a.py", "x = a / b"),
    (python_lints.unstable_arithmetic, "services/risk/core/a.py", "a /= b"),
    (python_lints.unstable_arithmetic, "services/risk/core.py", "x = hash(a)"),
    (python_lints.unstable_arithmetic, "services/featuresets/a.py", "x = a / b"),
    (python_lints.unstable_arithmetic, "services/matcher/core/a.py", "for x in {1, 2}: ..."),
    (python_lints.unstable_arithmetic, "services/matcher/core/a.py", "[x for x in set(y)]"),
    (python_lints.unstable_arithmetic, "services/drift/core/a.py", "[x for x in set(y)]"),
    (python_lints.unstable_arithmetic, "services/drift/core/a.py", "x = hash(a)"),
    (python_lints.silent_tests, "tests/unit/test_a.py", "def test_one_is_one():\n    x = 1 == 1"),
    (python_lints.terse_tests, "tests/unit/test_a.py", "def test_it():\n    assert x"),
]
LINTS: list[Lint] = list(dict.fromkeys(lint for lint, _, _ in PLANTED))

KEPT = """
class OrderBook:
    def best(self) -> int:
        total = 7 // 2
        for level in sorted({1, 2}):
            total += level
        return total

def test_a_book_keeps_its_best_price() -> None:
    assert OrderBook().best() == 6
"""


@pytest.mark.parametrize("lint", LINTS)
def test_python_files_keep_the_house_rules(lint: Lint) -> None:
    findings = [found for source in sources_with(".py") for found in lint(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("lint,path,text", PLANTED)
def test_a_planted_break_of_a_python_rule_is_found(lint: Lint, path: str, text: str) -> None:
    assert list(lint(Source(PurePosixPath(path), text)))


@pytest.mark.parametrize("lint", LINTS)
@pytest.mark.parametrize("path", ["services/matcher/core/book.py", "tests/unit/test_book.py"])
def test_a_file_that_keeps_the_python_rules_has_no_finding(lint: Lint, path: str) -> None:
    assert not list(lint(Source(PurePosixPath(path), KEPT)))
