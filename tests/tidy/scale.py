"""What a multiple of the load needs, computed from the figures in docs/benchmarks.md.

docs/scale.md holds the two tables as generated parts, so that a new measurement changes them too.
"""

import math
import re
from typing import Final

import msgspec

from services.tools.bench.run_all import JSON_NAME, Run
from services.wire import topics
from tests.tidy.tree import ROOT

_COMMAND_US: Final = re.compile(
    r"Processor time a command, user and system: Kafka (\d+) us, risk (\d+), recorder (\d+),"
    r" ingest (\d+), matcher (\d+), PostgreSQL (\d+), registry (\d+)\."
)
_TRADE_US: Final = re.compile(
    r"processor time a trade \| features (\d+) us, broker (\d+) us, materializer (\d+) us"
)
_ANSWERED: Final = re.compile(r"commands answered, [\d,]+/s offered \| ([\d,]+)/s")
_TRADES: Final = re.compile(r"= ([\d,]+) commands \+ .{0,80}? reports and ([\d,]+) trades")
_ROW_KB: Final = re.compile(r"grows by some ([\d.]+) KB a command")
TIMES: Final = (1, 10, 100, 10_000)
_DAY_S: Final = 86_400


class Stage(msgspec.Struct, frozen=True):
    """Who spends processor time on a command, and over how many processes it can be spread."""

    name: str
    us: int
    by: str
    processes_max: int | None
    """None: no bound of ours."""


class _Written(msgspec.Struct):
    """What is read here of a stage in the run's file."""

    stage: str
    out_bytes: float


class Figures(msgspec.Struct, frozen=True):
    """What was measured."""

    stages: tuple[Stage, ...]
    feature_us_a_trade: int
    trades_a_command: float
    commands_a_second: int
    row_kb: float
    bytes_out: dict[str, float]
    """By stage: of the records that it writes for a command, keys and Kafka's own bytes apart."""

    @property
    def command_us(self) -> float:
        """All processor time that a command causes, its share of the features included."""
        features = self.feature_us_a_trade * self.trades_a_command
        return sum(stage.us for stage in self.stages) + features


def read_figures(benchmarks: str, adr: str, run: Run) -> Figures:
    """The figures as the pages have them, and the bytes as a run of all benchmarks has them.

    Raises:
        LookupError: a page says one of them in other words than are known here.
    """
    flat, flat_adr = " ".join(benchmarks.split()), " ".join(adr.split())
    kafka, risk, recorder, ingest, matcher, postgres, registry = _numbers(_COMMAND_US, flat)
    by_ticker, by_account = topics.MATCHING.partitions, topics.ACCOUNTS.partitions
    stages = (
        Stage("Kafka", int(kafka), "brokers", None),
        Stage("risk", int(risk), "partitions of `accounts`", by_account),
        Stage("recorder", int(recorder), "one works at a time, by a lock", 1),
        Stage("ingest", int(ingest), "partitions of `orders`", topics.ORDERS.partitions),
        Stage("matcher", int(matcher), "tickers", by_ticker),
        Stage("PostgreSQL", int(postgres), "cores of one server", None),
        Stage("registry", int(registry), "asked at starts alone", None),
    )
    commands, trades = _numbers(_TRADES, flat)
    return Figures(
        stages,
        sum(int(one) for one in _numbers(_TRADE_US, flat)),
        float(trades) / float(commands),
        int(_numbers(_ANSWERED, flat)[0]),
        float(_numbers(_ROW_KB, flat_adr)[0]),
        _bytes_out(run),
    )


def _bytes_out(run: Run) -> dict[str, float]:
    for found in run.found:
        if found.name == "stages":
            stages = msgspec.json.decode(found.figures, type=list[_Written])
            return {stage.stage: stage.out_bytes for stage in stages}
    raise LookupError("the run has no figures of `outcry bench stages`")


def _numbers(pattern: re.Pattern[str], text: str) -> list[str]:
    found = pattern.search(text)
    if found is None:
        raise LookupError(f"no page has the figure any more: {pattern.pattern}")
    return [one.replace(",", "") for one in found.groups()]


def figures() -> Figures:
    """Those of the pages as they are."""
    docs = ROOT / "docs"
    return read_figures(
        (docs / "benchmarks.md").read_text(encoding="utf-8"),
        (docs / "adr" / "0011-the-log-in-days.md").read_text(encoding="utf-8"),
        msgspec.json.decode((docs / JSON_NAME).read_bytes(), type=Run),
    )


def draw_stages() -> str:
    """Each stage's cost, and the rate at which it is at its end as it is."""
    found = figures()
    lines = [
        "| stage | us a command | one core takes | spread over | at its end at | bytes out |",
        "|---|---|---|---|---|---|",
    ]
    for stage in found.stages:
        core = 1_000_000 // stage.us
        end = "-" if stage.processes_max is None else f"{core * stage.processes_max:,}/s"
        many = stage.processes_max is not None and stage.processes_max > 1
        spread = f"{stage.processes_max} {stage.by}" if many else stage.by
        written = f"{found.bytes_out[stage.name]:.0f}" if stage.name in found.bytes_out else "-"
        if stage.name == "PostgreSQL":
            written = f"{found.row_kb * 1_000:,.0f}"
        lines.append(f"| {stage.name} | {stage.us} | {core:,}/s | {spread} | {end} | {written} |")
    share = found.feature_us_a_trade * found.trades_a_command
    lines.append(
        f"| features, materializer and their broker | {share:.0f} | {1_000_000 / share:,.0f}/s |"
        f" {found.trades_a_command:.2f} trades a command, {found.feature_us_a_trade} us each |"
        " - | - |"
    )
    lines.append(f"| all | {found.command_us:.0f} | {1_000_000 / found.command_us:,.0f}/s | | | |")
    return "\n".join(lines)


def draw_times() -> str:
    """What multiples of the measured rate need."""
    found = figures()
    us = {stage.name: stage.us for stage in found.stages}
    head = ("times", "commands/s", "cores, all stages", "Kafka, one copy", "risk", "matcher")
    columns = (*head, "into PostgreSQL", "in a day")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for times in TIMES:
        rate = times * found.commands_a_second
        kb_a_second = rate * found.row_kb
        cells = (
            f"{times:,}",
            f"{rate:,}",
            _cores(rate * found.command_us),
            _cores(rate * us["Kafka"]),
            _cores(rate * us["risk"]),
            _cores(rate * us["matcher"]),
            f"{kb_a_second / 1_000:,.0f} MB/s",
            f"{kb_a_second * _DAY_S / 1_000_000_000:,.1f} TB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cores(us_a_second: float) -> str:
    cores = us_a_second / 1_000_000
    return f"{cores:.1f}" if cores < 10 else f"{math.ceil(cores):,}"
