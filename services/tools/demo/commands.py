"""`outcry demo`, as it is added to the command line."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add it."""
    app.command()(demo)


def demo(
    *,
    duration: Annotated[
        float | None,
        typer.Option(min=1, help="End by itself after so many seconds; else Ctrl-C ends it."),
    ] = None,
    rate: Annotated[float, typer.Option(min=1, max=5_000, help="Orders a second.")] = 300.0,
    rows: Annotated[
        int, typer.Option(min=0, help="Length of the recorded session replayed first; 0: none.")
    ] = 500,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of the simulated crowd; from the clock unless given."),
    ] = None,
) -> None:
    """Start everything, replay a small session, let a crowd trade, and show it live.

    With --duration it ends by itself, accounts for every record, and exits with 1 if one is lost.
    """
    import time

    from services.tools.demo.show import Wishes, run_demo

    wishes = Wishes(duration, rate, rows, int(time.time()) if seed is None else seed)
    raise typer.Exit(run_demo(wishes))
