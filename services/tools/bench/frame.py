"""The one frame around every benchmark's command: a home, progress lines, a table or JSON."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

type Say = Callable[[str], None]
"""Told what goes on, a line at a time."""

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Seed = Annotated[int, typer.Option(help="Of all that is drawn.")]
Repeats = Annotated[int, typer.Option(min=1, help="Tries of each, in turns.")]


def measure[F](
    run: Callable[[Path, Say], F],
    show: "Callable[[F], Table | Iterable[Table]]",
    *,
    json: bool,
) -> F:
    """Run a benchmark and print what it found.

    Args:
        run: is given a folder of its own, removed afterwards, and where to say what goes on.
        show: the figures for people.
        json: print the figures for programs instead.
    """
    import msgspec
    from rich.console import Console
    from rich.table import Table

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        figures = run(Path(home), lambda line: progress.print(f"[dim]{line}", highlight=False))
    if json:
        typer.echo(msgspec.json.encode(figures, enc_hook=str))
        return figures
    tables = show(figures)
    for table in (tables,) if isinstance(tables, Table) else tables:
        Console().print(table)
    return figures


def numbers(option: str, spelled: str) -> list[int]:
    """A list of numbers, separated by commas, that an option was given.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return [int(number) for number in spelled.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{option}: {spelled!r} is no list of numbers") from None
