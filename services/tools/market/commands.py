"""`outcry simulate` and `outcry replay`: what people type, and what they see of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from services.tools.market.replay import Replayed, ReplayOrder, Session

PANEL: Final = "Flow"
MAX_SPEED: Final = "max"
LEVELS_DEFAULT: Final = 10

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class RegimeName(StrEnum):
    """Of `regimes.REGIMES`, as people type it."""

    USUAL = "usual"
    NERVOUS = "nervous"
    FORESEEN = "foreseen"
    TURNED = "turned"


replay_app = typer.Typer(no_args_is_help=True, help="Replay recorded order flow, and verify it.")


def register(app: typer.Typer) -> None:
    """Add them."""
    app.command(rich_help_panel=PANEL)(simulate)
    app.add_typer(replay_app, name="replay", rich_help_panel=PANEL)


def simulate(
    *,
    seed: Annotated[int, typer.Option(min=0, help="The stream is a function of it alone.")] = 1,
    rate: Annotated[
        float, typer.Option(min=0, help="Records a second, open-loop; 0: as fast as it goes.")
    ] = 300.0,
    orders: Annotated[int, typer.Option(min=1, help="How many records to send.")] = 10_000,
    regime: Annotated[RegimeName, typer.Option(help="How it behaves at first.")] = RegimeName.USUAL,
    turn: Annotated[
        RegimeName | None, typer.Option(help="How it behaves from --turn-after on.")
    ] = None,
    turn_after: Annotated[
        int, typer.Option(min=0, help="With --turn: so many records are sent before.")
    ] = 0,
    prefix: Annotated[
        str | None, typer.Option(help="Topic prefix; OUTCRY_TOPIC_PREFIX unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a seeded crowd trade: makers, informed and noise accounts, all order types, some junk.

    The crowd speaks to the `orders` topic as any Kafka client would. The same seed again sends the
    same commands again, which the exchange answers without doing them twice: use another one.
    With --turn the market changes while it runs, for models and their monitors to find out.
    """
    from msgspec.structs import replace

    from services.tools.market.admit import admit_crowd
    from services.tools.market.present import print_published
    from services.tools.market.publish import Publisher, publish
    from services.tools.market.regimes import REGIMES
    from services.tools.market.simulator import Crowd, turning
    from services.tools.operate.connect import load_codec, open_exchange, read_deployment

    deployment = read_deployment()
    if prefix is not None:
        deployment = replace(deployment, prefix=prefix)
    codec = load_codec(deployment)
    with open_exchange(deployment) as exchange:
        accounts = admit_crowd(exchange, seed)
    publisher = Publisher(deployment.bootstrap, deployment.prefix, codec)
    crowd = Crowd(seed, REGIMES[regime])
    stream = islice(turning(crowd, turn_after, REGIMES[turn or regime]), orders)
    with _progress("records sent", orders) as (bar, task):
        published = publish(
            publisher, codec, stream, rate, lambda sent: bar.update(task, completed=sent)
        )
    print_published(published, seed=seed, accounts=accounts, as_json=as_json)


@replay_app.command()
def lobster(  # noqa: PLR0913 - a command line has as many options as it has
    *,
    ticker: Annotated[str, typer.Option(help="Name of the book to replay into.")],
    message: Annotated[Path, typer.Option(help="LOBSTER's message file, plain or gzipped.")],
    orderbook: Annotated[
        Path | None, typer.Option(help="LOBSTER's orderbook file of the same session.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare the book after each row with the file's.")
    ] = False,
    levels: Annotated[
        int | None,
        typer.Option(min=1, help="Levels a side; 10, or what the file has, unless given."),
    ] = None,
    speed: Annotated[
        str, typer.Option(help="So many times faster than it happened, or max.")
    ] = MAX_SPEED,
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="The session's day, if not in the name."),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Topic prefix of the replay; made up unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a LOBSTER session through rooms and topics of its own; exit code 1 unless it holds."""
    from services.tools.market.lobster_files import (
        count_levels,
        count_session_rows,
        read_session,
        session_midnight_us,
    )
    from services.tools.market.replay import ReplayOrder

    if verify and orderbook is None:
        raise typer.BadParameter("--verify compares with an orderbook file: give --orderbook")
    if levels is not None and orderbook is None:
        raise typer.BadParameter("--levels is about an orderbook file: give --orderbook")
    window = 0
    if orderbook is not None:
        window = levels or min(LEVELS_DEFAULT, count_levels(orderbook))
    order = ReplayOrder(
        ticker=_ticker(ticker),
        levels=window,
        verify=verify,
        midnight_us=session_midnight_us(message, day.date() if day else None),
        speed=_speed(speed),
    )
    rows = count_session_rows(message, orderbook)
    _replay(order, read_session(message, orderbook, window), rows, prefix, as_json=as_json)


@replay_app.command()
def sample(
    *,
    seed: Annotated[int, typer.Option(min=0, help="The session is a function of it alone.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="How many messages.")] = 5_000,
    levels: Annotated[int, typer.Option(min=1, help="Levels a side.")] = LEVELS_DEFAULT,
    speed: Annotated[
        str, typer.Option(help="So many times faster than it happened, or max.")
    ] = MAX_SPEED,
    prefix: Annotated[
        str | None, typer.Option(help="Topic prefix of the replay; made up unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay and verify a session like LOBSTER's that is made up from a seed: needs no data."""
    from services.tools.market.lobster_files import session_midnight_us
    from services.tools.market.replay import ReplayOrder
    from services.tools.market.sample import FILE_NAME, SAMPLE_TICKER, make_session

    session = make_session(seed, rows, levels)
    order = ReplayOrder(
        ticker=SAMPLE_TICKER,
        levels=levels,
        verify=True,
        midnight_us=session_midnight_us(Path(FILE_NAME)),
        speed=_speed(speed),
    )
    pairs = zip(session.messages, session.rows, strict=True)
    _replay(order, pairs, rows, prefix, as_json=as_json)


def _replay(
    order: "ReplayOrder", session: "Session", rows: int, prefix: str | None, *, as_json: bool
) -> None:
    """Run it, print it, and end with its exit code."""
    from services.runtime.settings import read_settings
    from services.tools.market.present import print_replayed
    from services.tools.market.replay import replay
    from services.tools.market.replay_deployment import open_replay_deployment
    from services.tools.stack.settings import StackSettings

    settings = read_settings(StackSettings)
    mark, session = _opening_mark(session)
    with (
        _progress("rows verified" if order.verify else "rows sent", rows) as (bar, task),
        open_replay_deployment(
            settings, _prefix(prefix, order.ticker), order.ticker, mark
        ) as place,
    ):
        replayed: Replayed = replay(
            place, order, session, lambda done: bar.update(task, completed=done)
        )
    print_replayed(replayed, as_json=as_json)
    raise typer.Exit(0 if replayed.holds else 1)


def _opening_mark(session: "Session") -> "tuple[int, Session]":
    """The first row's price, and the session as it was; a faulty file shows before rooms start."""
    from itertools import chain

    rows = iter(session)
    first = next(rows)
    message, row = first
    best = row.bids[:1] or row.asks[:1] if row is not None else ()
    return best[0][0] if best else message.price, chain((first,), rows)


def _prefix(asked: str | None, ticker: str) -> str:
    """Put before the topics' names; the time makes it a new one each time."""
    if asked is None:
        return f"lobster-{ticker.lower()}-{datetime.now(UTC):%Y%m%d%H%M%S}."
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,39}", asked):
        raise typer.BadParameter(
            f"--prefix {asked!r} is none: at most 40 of a-z, 0-9, dot and dash, like 'replay-1.'"
        )
    return asked


def _ticker(text: str) -> str:
    from services.domain.ids import TICKER_LENGTH_MAX

    if not (text.isalnum() and text.isascii() and len(text) <= TICKER_LENGTH_MAX):
        raise typer.BadParameter(
            f"{text!r} is no ticker: 1 to {TICKER_LENGTH_MAX} letters and digits"
        )
    return text.upper()


def _speed(text: str) -> float:
    if text == MAX_SPEED:
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"--speed {text!r} is neither {MAX_SPEED} nor a number above 0")
    return speed


@contextmanager
def _progress(what: str, total: int) -> "Iterator[tuple[Progress, TaskID]]":
    """A bar on standard error, where a terminal is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task(what, total=total)
