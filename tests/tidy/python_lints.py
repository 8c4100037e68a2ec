"""Style rules that ruff does not know, each a function from a source to its findings."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from tests.tidy.tree import Source

FUNCTION_LINES_MAX: Final = 60
FILE_LINES_MAX: Final = 500
MAIN_LINES_MAX: Final = 100
TEST_NAME_WORDS_MIN: Final = 3

# They say where a thing was put, not what it is; everything ends up in them.
BANNED_NAMES: Final = frozenset(
    {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)
# A call whose name has one of these words is taken to assert.
_ASSERTING: Final = re.compile(r"assert|check|expect|fail|raises|refus|verify|warns")

type Function = ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache(maxsize=1024)
def _tree(source: Source) -> ast.Module:
    return ast.parse(source.text, filename=str(source.path))


def _functions(source: Source) -> Iterator[Function]:
    for node in ast.walk(_tree(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(source: Source) -> Iterator[str]:
    """A function is read on one screen."""
    for function in _functions(source):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield source.at(
                function.lineno,
                f"{function.name} has {lines} lines, {FUNCTION_LINES_MAX} are allowed",
            )


def long_files(source: Source) -> Iterator[str]:
    """A file is a chapter, and a room's __main__ is only wiring."""
    lines = source.text.count("\n")
    is_main = source.path.name == "__main__.py"
    limit = MAIN_LINES_MAX if is_main else FILE_LINES_MAX
    if lines > limit:
        yield source.at(1, f"{lines} lines, {limit} are allowed")


def vague_names(source: Source) -> Iterator[str]:
    """Modules, packages and classes are named for what they are."""
    for part in source.path.with_suffix("").parts:
        if BANNED_NAMES & set(part.lower().split("_")):
            yield source.at(1, f"the name {part!r} says nothing about what is inside")
    for node in ast.walk(_tree(source)):
        if isinstance(node, ast.ClassDef):
            words = {word.lower() for word in re.findall(r"[A-Z][a-z]*", node.name)}
            if BANNED_NAMES & words:
                yield source.at(node.lineno, f"the name {node.name!r} says nothing about its role")


def unstable_arithmetic(source: Source) -> Iterator[str]:
    """Folds must give the same bytes everywhere, and money and sizes are integers.

    So the domain, the cores and the feature folds have no floats and no true division; no `hash`
    or `id`, which differ between processes; and never iterate over a set, whose order differs
    likewise. Drift's core is no fold: it measures, in floats.
    """
    if not is_pure(source):
        return
    measures = source.path.parts[:3] == ("services", "drift", "core")
    for node in ast.walk(_tree(source)):
        match node:
            case ast.Constant(value=float(number)) if not measures:
                yield source.at(node.lineno, f"a float in a fold: {number}")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()) if not measures:
                yield source.at(node.lineno, "true division in a fold; use // and say the rounding")
            case ast.Call(func=ast.Name(id="float")) if measures:
                continue
            case ast.Call(func=ast.Name(id="float" | "hash" | "id" as name)):
                yield source.at(node.lineno, f"{name}() in a fold")
            case ast.For(iter=iterated) | ast.comprehension(iter=iterated) if _is_set(iterated):
                yield source.at(iterated.lineno, "iterates over a set; its order is not defined")


def is_pure(source: Source) -> bool:
    """Whether it belongs to the domain, to a room's core or to a fold of features."""
    parts = source.path.with_suffix("").parts
    if parts[:2] == ("services", "featuresets"):
        return parts[-1] != "definitions"  # There the integers become the floats of the lake.
    return parts[:2] == ("services", "domain") or (
        parts[:1] == ("services",) and len(parts) > 2 and parts[2] == "core"
    )


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
    return False


def silent_tests(source: Source) -> Iterator[str]:
    """A test must be able to fail: somewhere in it stands an assertion that can be seen."""
    for function in _tests(source):
        if not any(_asserts(node) for node in ast.walk(function)):
            yield source.at(function.lineno, f"{function.name} asserts nothing that can be seen")


def terse_tests(source: Source) -> Iterator[str]:
    """A test's name is a sentence: what holds, and when."""
    for function in _tests(source):
        words = function.name.removeprefix("test_").split("_")
        if len(words) < TEST_NAME_WORDS_MIN:
            yield source.at(function.lineno, f"{function.name} is no sentence")


def _tests(source: Source) -> Iterator[Function]:
    if source.path.name.startswith("test_"):
        yield from (f for f in _functions(source) if f.name.startswith("test_"))


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    return isinstance(node, ast.Call) and _ASSERTING.search(ast.unparse(node.func)) is not None
