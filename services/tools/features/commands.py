"""`outcry features`: what people type."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from services.lake.places import Lake
    from services.tools.features.backfill import Filled
    from services.tools.features.report import ParityReport

PANEL: Final = "Features"
_DAY: Final = ["%Y-%m-%d"]
PARITY_TIMEOUT_S: Final = 90.0
"""A row comes to the lake within a minute."""

SetName = Annotated[str, typer.Option("--set", help="Feature set, for example microstructure_v1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

features_app = typer.Typer(no_args_is_help=True, help="Feature sets, their history and parity.")


def register(app: typer.Typer) -> None:
    """Add them."""
    app.add_typer(features_app, name="features", rich_help_panel=PANEL)


@features_app.command("list")
def list_sets(*, as_json: AsJson = False) -> None:
    """Every feature set, its fingerprint, and each feature with unit, window and meaning."""
    from services.tools.features.report import describe_sets, print_sets
    from services.tools.operate.present import print_json

    if as_json:
        print_json(describe_sets())
    else:
        print_sets()


@features_app.command()
def backfill(
    *,
    name: SetName,
    source: Annotated[
        Literal["lake", "kafka"],
        typer.Option("--source", help="History that was ingested, or the trades on the log."),
    ] = "lake",
    first: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY, help="First day (UTC).")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY, help="Last day (UTC), included.")
    ] = None,
    ticker: Annotated[list[str] | None, typer.Option("--ticker", help="Only these.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Over rows that other inputs gave.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compute a set's rows of history into the lake; twice is once."""
    from services.tools.features.backfill import Days
    from services.tools.features.report import print_filled
    from services.tools.features.run import backfill_from_lake, backfill_from_log
    from services.tools.operate.present import print_json
    from services.tools.operate.progress import progress_bar

    days = Days(first.date() if first else None, last.date() if last else None)
    fill_from = backfill_from_lake if source == "lake" else backfill_from_log
    with progress_bar(f"folding {name}") as tell, _lake_for_backfill() as lake:
        filled: Filled = fill_from(lake, name, days, ticker, replace=replace, progress=tell)
    if as_json:
        print_json(filled)
    else:
        print_filled(name, filled)


@features_app.command()
def parity(
    *,
    names: Annotated[
        list[str] | None, typer.Option("--set", help="Only these; else each one on the log.")
    ] = None,
    stores: Annotated[
        bool, typer.Option("--stores/--no-stores", help="Compare lake and online store too.")
    ] = True,
    served: Annotated[
        bool,
        typer.Option("--served/--no-served", help="Compare the vectors of all predictions too."),
    ] = True,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout-s", min=0, help="How long to wait for rows on their way, seconds."),
    ] = PARITY_TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Fold the trades again, compare every row with `==`; exit code 1 unless all match."""
    from services.tools.features.report import print_parity
    from services.tools.features.run import parity_of_deployment
    from services.tools.operate.present import print_json
    from services.tools.operate.progress import progress_bar

    with progress_bar("folding the trades again") as tell:
        found: ParityReport = parity_of_deployment(
            _home(),
            names,
            with_stores=stores,
            with_served=served,
            timeout_s=timeout_s,
            progress=tell,
        )
    if as_json:
        print_json(found)
    else:
        print_parity(found)
    raise typer.Exit(0 if found.holds else 1)


@features_app.command()
def compact(*, as_json: AsJson = False) -> None:
    """Merge the small files of days that are over; the rows stay the same."""
    from services.tools.features.compact import compact as compact_lake
    from services.tools.operate.present import print_json, print_table

    with _lake_for_backfill() as lake:
        done = compact_lake(lake)
    if as_json:
        print_json(done)
    else:
        print_table(
            ("days", "files removed", "rows"),
            [(f"{done.days:,}", f"{done.removed:,}", f"{done.rows:,}")],
        )


@features_app.command()
def quality(*, as_json: AsJson = False) -> None:
    """What the checks said of each backfill, and of the streamed days of each compaction."""
    from services.lake.places import Lake
    from services.tools.features.quality import feature_batches
    from services.tools.features.report import print_quality
    from services.tools.operate.present import print_json

    found = feature_batches(Lake(_home()))
    if as_json:
        print_json({"batches": found})
    else:
        print_quality(found)


@features_app.command()
def online(
    tickers: Annotated[list[str], typer.Argument(help="For example AAPL MSFT.")],
    *,
    service: Annotated[
        str, typer.Option(help="FeatureService: a feature set and version.")
    ] = "microstructure_v1",
    as_json: AsJson = False,
) -> None:
    """Show what the online store serves, with units and ages; exit code 1 if a row is missing."""
    from services.tools.features.served import ask, print_served
    from services.tools.operate.present import print_json

    now = ask(_home(), service, tickers)
    if as_json:
        print_json(now)
    else:
        print_served(now)
    raise typer.Exit(1 if now.unknown else 0)


@contextmanager
def _lake_for_backfill() -> Iterator["Lake"]:
    from services.lake.lock import BACKFILL, locked
    from services.lake.places import Lake

    lake = Lake(_home())
    with locked(lake, BACKFILL):
        yield lake


def _home() -> Path:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings).home
