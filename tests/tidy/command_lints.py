"""Commands that pages and messages tell people to type, held against the command line itself.

In a fenced `sh` block a command must be one that runs as it stands; inline it may be a mention,
with arguments left out or in capitals (`ID`, `DIR`), but what is there must be known.
"""

import ast
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import typer.main
from typer._click import exceptions as refusals
from typer.core import TyperGroup

from services.cli import app
from tests.tidy.tree import ROOT, Source

_SHELL: Final = frozenset({"sh", "bash", "shell", "console"})
_INLINE: Final = re.compile(r"(?<!`)`(?!`)([^`]+)`(?!`)")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=.*")
_PLACEHOLDER: Final = re.compile(r"[A-Z][A-Z_]*|<[\w-]+>|\.\.\.")
_OPERATORS: Final = frozenset({"|", "||", "&&", ";", "&", "(", ")", "<", ">", ">>"})
_CONTAINER: Final = ["docker", "compose", "run", "--rm", "tools"]
_GATEWAY: Final = "http://127.0.0.1:19080/"
_BESIDE_OPENAPI: Final = frozenset({"/", "/openapi.json", "/asyncapi.json", "/ws", "/healthz"})


def wrong_commands(source: Source) -> Iterator[str]:
    """A page's commands of ours are taken by the command line, with every option that they name."""
    for number, line in _shell_lines(source.text):
        for words in _simple_commands(line):
            if complaint := _complaint(words, whole=True):
                yield source.at(number, complaint)
    prose = _without_fences(source.text)
    for found in _INLINE.finditer(prose):
        if complaint := _mention(found[1]):
            yield source.at(prose.count("\n", 0, found.start()) + 1, complaint)


def wrong_advice(source: Source) -> Iterator[str]:
    """The same of what a program says between backticks, in messages as in its documentation."""
    if "`outcry " not in source.text:
        return
    for node in ast.walk(ast.parse(source.text)):
        match node:
            case ast.Constant(value=str(text)):
                pass
            case ast.JoinedStr():
                text = "".join(_part(part) for part in node.values)
            case _:
                continue
        for found in _INLINE.finditer(text):
            if complaint := _mention(found[1]):
                yield source.at(node.lineno, complaint)


def _part(part: ast.expr) -> str:
    """A piece of a formatted string; what is put in later is like any argument."""
    return str(part.value) if isinstance(part, ast.Constant) else "X"


def _mention(code: str) -> str:
    """What is wrong with a mention; `order place | cancel` is two of them."""
    first, *others = " ".join(code.split()).split(" | ")
    words = _words(first)
    if len(words) > 1 and words[-1] == "..." and not words[-2].startswith("-"):
        del words[-1]
    told = [words, *([*words[:-1], other] for other in others)]
    return next(filter(None, (_complaint(each, whole=False) for each in told)), "")


def unknown_paths(source: Source) -> Iterator[str]:
    """Addresses of the gateway that a page has people ask are in its description."""
    for number, line in _shell_lines(source.text):
        for word in _words(line):
            if word.startswith(_GATEWAY) and not _is_described(urlsplit(word).path):
                yield source.at(number, f"the gateway has no {urlsplit(word).path}")


@cache
def _command_line() -> Any:  # noqa: ANN401 - typer's, which has no public name
    return typer.main.get_command(app)


def parse(words: Sequence[str]) -> None:
    """Take the arguments of `outcry` as the command line would, and run nothing.

    Raises:
        UsageError: it would refuse them; MissingParameter where some are left out.
    """
    command, context, rest = _command_line(), None, list(words)
    name: str | None = "outcry"
    while True:
        if isinstance(command, TyperGroup) and not rest:
            raise refusals.MissingParameter(f"{name} wants a command")
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, TyperGroup):
            return
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )


def _complaint(words: Sequence[str], *, whole: bool) -> str:
    return _judge(tuple(words), whole)


@cache
def _judge(words: tuple[str, ...], whole: bool) -> str:  # noqa: FBT001 - a key of the cache
    arguments = _arguments(words)
    if arguments is None:
        return ""
    try:
        parse(arguments)
    except refusals.MissingParameter as error:
        return f"`{' '.join(words)}` is not whole: {error.format_message()}" if whole else ""
    except refusals.BadParameter as error:
        if not whole and any(_PLACEHOLDER.fullmatch(word) for word in arguments):
            return ""
        return f"`{' '.join(words)}`: {error.format_message()}"
    except refusals.UsageError as error:
        return f"`{' '.join(words)}`: {error.format_message()}"
    return ""


def _arguments(words: Sequence[str]) -> list[str] | None:
    """What is given to `outcry`; None: it is another program's command."""
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    if list(words[: len(_CONTAINER)]) == _CONTAINER:
        return list(words[len(_CONTAINER) :])
    if not words or words[0] not in {"outcry", ".venv/bin/outcry"} or len(words) == 1:
        return None
    return [word for word in words[1:] if word != "--help"]


def _shell_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines of fenced shell code, with the number of their first; continued ones are one."""
    fence, gathered, begun = "", "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence = "" if fence else line.strip().removeprefix("```") or "text"
        elif fence in _SHELL:
            begun = begun if gathered else number
            gathered += line.removesuffix("\\")
            if not line.endswith("\\"):
                yield begun, gathered
                gathered = ""


def _words(line: str) -> list[str]:
    splitter = shlex.shlex(line, posix=True, punctuation_chars=True)
    splitter.whitespace_split = True
    try:
        return list(splitter)
    except ValueError:  # half a quotation: no command line
        return []


def _simple_commands(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in [*_words(line), ";"]:
        if word in _OPERATORS:
            if words:
                yield words
            words = []
        else:
            words.append(word)


def _without_fences(text: str) -> str:
    """The text without fenced code, its lines still where they were."""
    lines, inside = [], False
    for line in text.split("\n"):
        is_mark = line.lstrip().startswith("```")
        lines.append("" if inside or is_mark else line)
        inside ^= is_mark
    return "\n".join(lines)


def _is_described(path: str) -> bool:
    return path in _BESIDE_OPENAPI or any(form.fullmatch(path) for form in _described())


@cache
def _described() -> tuple[re.Pattern[str], ...]:
    described = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    return tuple(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in described["paths"])
