"""All that dashboards and rules ask Prometheus, and which of it has no answer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
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


_UNTIL_A_MODEL_IS_JUDGED: Final = "drift shows it once a job has judged a window of a model"
NEVER: Final[Mapping[str, str]] = MappingProxyType(
    {
        'outcry_gateway_requests_total{status=~"5.."}': "no request has failed",
        "outcry_gateway_access_refused_total": "nobody was refused",
        "outcry_rows_passed_over_total": "no row came that is not to be stored",
    }
)
"""Selectors and metrics that give nothing as long as all is well, and why."""
NOT_YET: Final[Mapping[str, str]] = MappingProxyType(
    {
        **NEVER,
        "outcry_drift_alarming": _UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_judged": _UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_ratio": _UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_score": _UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_run_timestamp_seconds": _UNTIL_A_MODEL_IS_JUDGED,
        "outcry_drift_parity_mismatches": _UNTIL_A_MODEL_IS_JUDGED,
    }
)
"""And those that give nothing until a model serves."""


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


def silent(
    address: str, questions: Sequence[Question], excused: Mapping[str, str] = NOT_YET
) -> list[Silence]:
    """Those that this Prometheus has no data for.

    Each selector must give something: `or vector(0)` would hide that one does not. A query of a
    dashboard or of a recording rule must besides give a number itself, and not NaN, which is what
    a quantile says of a histogram that counted nothing; an alert is to be silent.

    Args:
        address: of the Prometheus.
        questions: what to ask it.
        excused: selectors, or metrics, that need not give anything.
    """
    found = []
    answer_to = cache(partial(ask, address))  # many ask for the same
    for question in questions:
        for selector in selectors_of(question.expression):
            answer = answer_to(selector)
            if not (answer.values or selector in excused or metric_of(selector) in excused):
                found.append(Silence(question, selector, answer.error or "no data"))
        if question.origin != "alert":
            answer = answer_to(question.expression)
            if not answer.is_finite:
                cause = answer.error or ("no number" if answer.values else "no data")
                found.append(Silence(question, question.expression, cause))
    return found
