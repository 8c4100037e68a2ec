"""`outcry load`: a scenario of load/ by locust, or open-loop orders at several rates.

Locust's users hold still while they wait, so its own times leave out what was due meanwhile; the
scenarios therefore count each question from when it was due as well (load/paced.py). The scenario
`orders` has no users at all: a generator sends at fixed moments, answered or not
(services/tools/bench/gateway_load.py), and each time runs from that moment.
"""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import msgspec

from services.tools.bench.frame import Say
from services.tools.bench.gateway_load import LoadOrder, LoadResult
from services.tools.bench.tries import try_apart
from services.tools.soak.pictures import draw_panels
from services.tools.stack.errors import StackError

SCENARIOS: Final = ("rest", "websocket", "mixed", "ml")
OPEN_LOOP: Final = "orders"
FOLDER: Final = Path(__file__).parents[3] / "load"
_GRACE_S: Final = 120.0
_CONNECTIONS: Final = 64
_PATIENCE_S: Final = 5.0
_LOAD: Final = "services.tools.bench.gateway_load"


class LoadPlan(msgspec.Struct, frozen=True):
    """What to run against a gateway that is up, by accounts that are open."""

    scenario: str
    users: int
    rates_per_s: tuple[float, ...]
    """Of all users together; `orders` takes several, one after the other."""
    duration_s: float
    """Of the run; of `orders`, of each rate."""
    folder: Path
    gateway: str
    """host:port."""
    predict: str
    """host:port of the room inference; empty: there is none."""
    accounts: tuple[str, ...]


class LoadRow(msgspec.Struct, frozen=True):
    """What one kind of question, or one rate, met. Times in milliseconds."""

    name: str
    requests: int
    failed: int
    per_s: float
    p50_ms: float
    p95_ms: float | None
    """None: not kept."""
    p99_ms: float
    max_ms: float


def run_load(plan: LoadPlan, say: Say) -> list[LoadRow]:
    """Load it, and leave tables, pages and pictures in the plan's folder; blocks.

    Raises:
        StackError: locust is not there, or ends without figures.
    """
    rows = _run_open_loop(plan, say) if plan.scenario == OPEN_LOOP else _run_locust(plan, say)
    (plan.folder / "load.json").write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    picture = draw_panels(
        f"outcry load {plan.scenario}",
        "orders/s offered" if plan.scenario == OPEN_LOOP else "row of the table",
        {"ms": _percentiles(plan, rows)},
    )
    (plan.folder / "load.svg").write_bytes(picture)
    page = page_of(plan, rows, picture.decode())
    (plan.folder / "load.html").write_text(page, encoding="utf-8")
    return rows


def _percentiles(plan: LoadPlan, rows: Sequence[LoadRow]) -> dict[str, list[tuple[float, float]]]:
    across = plan.rates_per_s if plan.scenario == OPEN_LOOP else range(1, len(rows) + 1)
    return {
        "50th": [(at, row.p50_ms) for at, row in zip(across, rows, strict=True)],
        "99th": [(at, row.p99_ms) for at, row in zip(across, rows, strict=True)],
    }


def _run_open_loop(plan: LoadPlan, say: Say) -> list[LoadRow]:
    rows = []
    for rate_per_s in plan.rates_per_s:
        say(f"{rate_per_s:g} orders/s for {plan.duration_s:g} s")
        asked = LoadOrder(
            port=int(plan.gateway.rpartition(":")[2]),
            kind="ours",
            run=f"load-{time.time_ns() // 1_000_000:x}",
            connections=_CONNECTIONS,
            seconds=plan.duration_s,
            rate_per_s=rate_per_s,
            patience_s=_PATIENCE_S,
            account=plan.accounts[0],
            time_in_force="IOC",
        )
        argument = msgspec.json.encode(asked).decode()
        said = try_apart(_LOAD, [argument], plan.duration_s + _GRACE_S, "the load")
        found = msgspec.convert(said, LoadResult)
        rows.append(
            LoadRow(
                f"{rate_per_s:g}/s offered, {found.given_up} given up unsent",
                found.requests, found.failed, found.answered_per_s, found.p50_ms, None,
                found.p99_ms, found.max_ms,
            )
        )  # fmt: skip
    return rows


def _run_locust(plan: LoadPlan, say: Say) -> list[LoadRow]:
    scenario = FOLDER / f"{plan.scenario}.py"
    if not scenario.is_file():
        raise StackError(f"no {scenario}: scenarios are in a checkout, not in a wheel")
    rate_per_s = plan.rates_per_s[0]
    say(f"{plan.users} users, {rate_per_s:g} questions/s for {plan.duration_s:g} s")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(FOLDER.parent), *sys.path[1:]))),
        "OUTCRY_LOAD_ACCOUNTS": ",".join(plan.accounts),
        "OUTCRY_LOAD_RATE": str(rate_per_s),
        "OUTCRY_LOAD_USERS": str(plan.users),
        "OUTCRY_LOAD_PREDICT": plan.predict,
    }
    command = [
        sys.executable, "-m", "locust", "--headless", "--only-summary",
        "--locustfile", str(scenario), "--host", f"http://{plan.gateway}",
        "--users", str(plan.users), "--spawn-rate", str(plan.users),
        "--run-time", f"{plan.duration_s:.0f}s", "--stop-timeout", "5",
        "--csv", str(plan.folder / "locust"), "--html", str(plan.folder / "locust.html"),
    ]  # fmt: skip
    with (plan.folder / "locust.log").open("wb") as log:
        # Its exit code is 1 if a question failed, which the table tells.
        done = subprocess.run(
            command, env=environment, stdout=log, stderr=log, check=False,
            timeout=plan.duration_s + _GRACE_S,
        )  # fmt: skip
    stats = plan.folder / "locust_stats.csv"
    if not stats.is_file():
        end = (plan.folder / "locust.log").read_text(encoding="utf-8", errors="replace")[-500:]
        raise StackError(f"locust ended with {done.returncode} and without figures: {end}")
    return read_stats(stats.read_text(encoding="utf-8"))


def read_stats(text: str) -> list[LoadRow]:
    """The rows of locust's table, but its sum of all, which adds each question up twice."""
    rows = []
    for line in csv.DictReader(text.splitlines()):
        if line["Name"] == "Aggregated":
            continue
        rows.append(
            LoadRow(
                line["Name"],
                int(line["Request Count"]),
                int(line["Failure Count"]),
                float(line["Requests/s"]),
                _ms(line["50%"]),
                _ms(line["95%"]),
                _ms(line["99%"]),
                _ms(line["Max Response Time"]),
            )
        )
    return rows


def _ms(spelled: str) -> float:
    """Locust says N/A where there was nothing."""
    return 0.0 if spelled in {"", "N/A"} else float(spelled)


HEADS: Final = ("question", "requests", "failed", "/s", "p50 ms", "p95 ms", "p99 ms", "max ms")


def cells(row: LoadRow) -> tuple[str, ...]:
    """One row as tables show it."""
    times = (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)
    spelled = ("" if time_ms is None else f"{time_ms:,.1f}" for time_ms in times)
    return (row.name, f"{row.requests:,}", f"{row.failed:,}", f"{row.per_s:,.1f}", *spelled)


def page_of(plan: LoadPlan, rows: Sequence[LoadRow], picture: str) -> str:
    """One page with the table and the picture, which needs nothing else to be read."""
    heads = "".join(f"<th>{escape(head)}</th>" for head in HEADS)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells(row))}</tr>" for row in rows
    )
    svg = picture[picture.index("<svg") :]
    more = '<p><a href="locust.html">Locust\'s own page</a></p>'
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>outcry load</title>'
        "<style>body{font:14px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}"
        "td:first-child,th:first-child{text-align:left}</style>"
        f"<h1>outcry load {escape(plan.scenario)}</h1>"
        f"<p>{plan.users} users, {', '.join(f'{rate:g}' for rate in plan.rates_per_s)}/s,"
        f" {plan.duration_s:g} s. Times under names that end in “from when it was due”, and those"
        " of open-loop orders, run from the moment that the schedule had.</p>"
        f"<table><tr>{heads}</tr>{body}</table>{svg}"
        f"{more if plan.scenario != OPEN_LOOP else ''}</html>\n"
    )
