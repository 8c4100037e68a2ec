"""The demo from beginning to end: stack, recorded session, crowd, and an account of everything."""

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from services.runtime.settings import read_settings
from services.tools.demo.crowd import CrowdThread
from services.tools.demo.figures import Figures
from services.tools.demo.leftovers import delete_topics
from services.tools.demo.observer import Observer
from services.tools.demo.screen import Screen, show_latency
from services.tools.market.admit import admit_crowd
from services.tools.market.lobster_files import session_midnight_us
from services.tools.market.publish import Published, Publisher
from services.tools.market.replay import Replayed, ReplayOrder, replay
from services.tools.market.replay_deployment import open_replay_deployment
from services.tools.market.sample import FILE_NAME, SAMPLE_TICKER, make_session
from services.tools.operate.connect import Deployment, open_exchange, open_log
from services.tools.proof.commands import QUIET_TIMEOUT_S, reconcile_deployment
from services.tools.proof.reconcile import Reconciliation
from services.tools.proof.report import print_reconciliation
from services.tools.stack.display import Display
from services.tools.stack.errors import StackError
from services.tools.stack.plan import stack_plan
from services.tools.stack.rooms import TRADING_ROOMS
from services.tools.stack.settings import HOST, PORT_OFFSETS, StackSettings
from services.tools.stack.stack import Stack

INTERRUPTED: Final = 130
_DRAW_INTERVAL_S: Final = 0.25
_SAMPLE_LEVELS: Final = 10


class Wishes(msgspec.Struct, frozen=True):
    """What the demo is to do."""

    duration_s: float | None
    """None: until Ctrl-C."""
    rate: float
    """Records a second."""
    rows: int
    """Of the recorded session that is replayed first; 0: none."""
    seed: int


def run_demo(wishes: Wishes) -> int:
    """Run it; the exit code. Stops what it started, also when interrupted.

    Raises:
        OperateError, OperatingError, StackError: what people can act on.
    """
    settings = read_settings(StackSettings)
    console = Console(highlight=False, soft_wrap=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with _running_exchange(settings) as deployment:
            if wishes.rows:
                _replay_sample(settings, console, wishes)
            return _trade(deployment, console, wishes, _urls(settings))
    except KeyboardInterrupt:
        console.print("Stopped.")
        return INTERRUPTED


def _interrupt(_number: int, _frame: object) -> None:
    """Whoever ends the demo, or closes its terminal, gets all of it ended in order."""
    raise KeyboardInterrupt


@contextmanager
def _running_exchange(settings: StackSettings) -> Iterator[Deployment]:
    """The exchange of this home: the one that runs, or one that runs as long as the demo."""
    stack = Stack(stack_plan(settings, TRADING_ROOMS))
    addresses = stack.addresses
    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, settings.topic_prefix
    )
    display = Display()
    found = stack.status()
    if found is not None:
        running = {row.name for row in found.components}
        if not found.is_up or not running >= set(TRADING_ROOMS):
            raise StackError(
                f"the stack in {settings.home} is not all up: see `outcry status`, "
                "or stop it with `outcry down`"
            )
        display.line(f"Using the exchange that runs in {settings.home}")
        yield deployment
        return
    display.line(f"Starting an exchange in {settings.home}, ports from {settings.port_base}")
    with display:
        stack.start(watch=display.watch, report=display.progress)
    try:
        yield deployment
    finally:
        display.line("Stopping the exchange")
        try:
            stack.stop(watch=display.watch)
        except KeyboardInterrupt:  # once more: at once, then
            stack.stop(watch=display.watch)


def _replay_sample(settings: StackSettings, console: Console, wishes: Wishes) -> Replayed:
    """A recorded session, through topics and rooms of its own, compared book by book."""
    session = make_session(wishes.seed, wishes.rows, _SAMPLE_LEVELS)
    order = ReplayOrder(
        ticker=SAMPLE_TICKER,
        levels=session.levels,
        verify=True,
        midnight_us=session_midnight_us(Path(FILE_NAME)),
        speed=0.0,
    )
    mark = session.rows[0].bids[0][0]
    prefix = f"demo-{int(time.time())}."
    pairs = zip(session.messages, session.rows, strict=True)
    with console.status("replaying a recorded session through rooms of its own"):
        with open_replay_deployment(settings, prefix, SAMPLE_TICKER, mark) as place:
            replayed = replay(place, order, pairs, lambda _done: None)
        # Each demo makes topics of its own; kept, they would add up in the broker.
        delete_topics(place.deployment.bootstrap, prefix)
    findings = replayed.findings
    assert findings is not None
    console.print(
        f"Recorded session replayed: {replayed.rows:,} rows, {replayed.commands:,} commands, "
        f"{findings.rows_equal:,} of {findings.rows_checked:,} books equal to the recorded ones"
        f"{'' if replayed.holds else '; IT DOES NOT HOLD'}"
    )
    if not replayed.holds:
        raise StackError("the recorded session did not come out as it was recorded")
    return replayed


def _trade(deployment: Deployment, console: Console, wishes: Wishes, urls: dict[str, str]) -> int:
    """Let the crowd trade and show it; then account for everything, if it was to end by itself."""
    with open_exchange(deployment) as exchange, open_log(deployment) as log:
        admit_crowd(exchange, wishes.seed)
        publisher = Publisher(deployment.bootstrap, deployment.prefix, exchange.codec)
        with closing(Observer(exchange, log, deployment)) as observer:
            crowd = CrowdThread(publisher, exchange.codec, wishes.seed, wishes.rate)
            try:
                with Screen(console, urls) as screen:
                    _watch(observer, crowd, screen, wishes.duration_s)
            except KeyboardInterrupt:
                _print_figures(console, observer.figures, crowd.stop())
                return 0 if wishes.duration_s is None else INTERRUPTED
            published = crowd.stop()
            found = _account(deployment, console)
        _print_figures(console, observer.figures, published)
        print_reconciliation(found)
        return 0 if found.is_whole else 1


def _watch(
    observer: Observer, crowd: CrowdThread, screen: Screen, duration_s: float | None
) -> None:
    """Draw until the time is up."""
    started_s = time.monotonic()
    while duration_s is None or time.monotonic() - started_s < duration_s:
        if failure := observer.failure or crowd.failure:
            raise failure
        with observer.lock:
            screen.show(observer.figures, time.monotonic() - started_s)
        time.sleep(_DRAW_INTERVAL_S)


def _account(deployment: Deployment, console: Console) -> Reconciliation:
    with console.status("waiting for the last order, then accounting for every record") as status:
        return reconcile_deployment(
            deployment,
            QUIET_TIMEOUT_S,
            lambda topic, records: status.update(f"accounting: {topic}, {records:,} records"),
        )


def _print_figures(console: Console, figures: Figures, published: Published) -> None:
    latency = figures.latency()
    console.print(
        f"The crowd sent {published.sent:,} records in {published.duration_s:.1f} s, "
        f"{published.delivered:,} confirmed; {published.dead_letters_expected:,} were junk."
    )
    console.print(
        f"Out came {figures.trades:,} trades of {figures.shares:,} shares, "
        f"{figures.reports:,} execution reports, {figures.dead_letters:,} dead letters."
    )
    if latency is not None:
        console.print(
            f"From the broker's stamp on an order to its first committed report being read: "
            f"{show_latency(latency)}, longest {latency.max_ms:.0f} ms "
            f"({latency.answers:,} answers)."
        )


def _urls(settings: StackSettings) -> dict[str, str]:
    gateway = f"http://{HOST}:{settings.port('gateway')}"
    metrics = f"http://{HOST}:{{}}/metrics"
    rooms = [name for name in TRADING_ROOMS if name in PORT_OFFSETS and name != "gateway"]
    return {
        "page": f"{gateway}/",
        "gateway": gateway,
        "API": f"{gateway}/openapi.json",
        "book": f"{gateway}/book/AAPL",
        "socket": f"ws://{HOST}:{settings.port('gateway')}/ws",
        **{f"{room} metrics": metrics.format(settings.port(room)) for room in rooms},
        "gateway metrics": metrics.format(settings.port("gateway-metrics")),
    }
