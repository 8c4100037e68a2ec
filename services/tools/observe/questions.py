"""All that dashboards and rules ask Prometheus, and which of it has no answer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from services.tools.observe.dashboards import DASHBOARDS
from services.tools.observe.panels import RATE
from services.tools.observe.prometheus import RULES, ask

type Origin = Literal["dashboard", "recording", "alert"]

SHORTEST_RATE: Final = "20s"
"""What stands for Grafana's own choice of a range."""


class Question(msgspec.Struct, frozen=True):
    """One query."""

    origin: Origin
    place: str
    """Dashboard and panel, or rule."""
    expression: str


class Silence(msgspec.Struct, frozen=True):
    """A question without an answer."""

    question: Question
    asked: str
    cause: str


UNTIL_A_MODEL_IS_JUDGED: Final = "drift shows it once a job has judged a window of a model"
NOT_YET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "outcry_drift_alarming": UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_judged": UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_run_timestamp_seconds": UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_parity_mismatches": UNTIL_A_MODEL_IS_JUDGED,
    }
)
"""Gauges of alerts that have no value on a well stack without a model, and why."""


def panel_questions(dashboards: Sequence[str] = ()) -> list[Question]:
    """Of all dashboards, or those named."""
    return [
        Question(
            "dashboard",
            f"{dashboard.name}: {panel.title}",
            query.expression.replace(RATE, SHORTEST_RATE),
        )
        for dashboard in DASHBOARDS
        if not dashboards or dashboard.name in dashboards
        for panel in dashboard.panels
        for query in panel.queries
    ]


@cache
def rule_questions() -> tuple[Question, ...]:
    """Of recording rules and alerts."""
    return tuple(_rules())


def _rules() -> Iterator[Question]:
    import yaml

    kinds: tuple[tuple[Origin, str, str], ...] = (
        ("recording", "recording.yml", "record"),
        ("alert", "alerts.yml", "alert"),
    )
    for origin, file, key in kinds:
        content = yaml.safe_load((RULES / file).read_text(encoding="utf-8"))
        for group in content["groups"]:
            for rule in group["rules"]:
                yield Question(origin, rule[key], rule["expr"])


_SELECTOR: Final = re.compile(r"\b(?:outcry|process|scrape)_\w+(?:\{[^}]*\})?|\bup\b(?:\{[^}]*\})?")
_RECORDED: Final = re.compile(r"\boutcry:\w+:\w+")


def selectors_of(expression: str) -> list[str]:
    """What it selects, each with its labels: an alert is to be silent, what it looks at is not."""
    return [*_SELECTOR.findall(expression), *_RECORDED.findall(expression)]


def metric_of(selector: str) -> str:
    """The name in a selector."""
    return selector.partition("{")[0]


def silent(address: str, questions: Sequence[Question]) -> list[Silence]:
    """Those that this Prometheus has no data for.

    A query of a dashboard or of a recording rule must itself give something; of an alert, each
    selector must.
    """
    found = []
    for question in questions:
        asked = [question.expression]
        if question.origin == "alert":
            asked = selectors_of(question.expression)
        for expression in asked:
            answer = ask(address, expression)
            if answer.values or metric_of(expression) in NOT_YET:
                continue
            found.append(Silence(question, expression, answer.error or "no data"))
    return found
