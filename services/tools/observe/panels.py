"""What a dashboard is: panels, each with the queries whose answers it draws."""

from typing import Final, Literal

import msgspec

type Unit = Literal["short", "s", "bytes", "reqps", "percentunit"]
"""As Grafana names them."""

RATE: Final = "$__rate_interval"
"""Grafana's own choice of a range: at least four scrapes."""


class Query(msgspec.Struct, frozen=True):
    """A question in PromQL, and what its lines are called."""

    expression: str
    legend: str


class Panel(msgspec.Struct, frozen=True):
    """One chart, or with `is_figure` one number."""

    title: str
    meaning: str
    unit: Unit
    queries: tuple[Query, ...]
    is_figure: bool = False


class Dashboard(msgspec.Struct, frozen=True):
    """One page of panels. `name` is its file's, and its address in Grafana."""

    name: str
    title: str
    meaning: str
    panels: tuple[Panel, ...]


def per_second(metric: str, by: str, where: str = "") -> Query:
    """A counter's rise by one or more labels."""
    return Query(f"sum by ({by}) (rate({metric}{where}[{RATE}]))", _legend(by))


def per_second_or_none(metric: str, by: str, where: str = "") -> Query:
    """The same of what may never have happened: a line at 0 then."""
    risen = per_second(metric, by, where)
    return Query(f"{risen.expression} or vector(0)", risen.legend)


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> Query:
    """A quantile of a histogram, by labels or over all."""
    labels = f"le, {by}" if by else "le"
    rises = f"sum by ({labels}) (rate({histogram}_bucket{where}[{RATE}]))"
    name = f"p{share * 100:g}"
    return Query(f"histogram_quantile({share:g}, {rises})", f"{_legend(by)} {name}" if by else name)


def level(expression: str, by: str) -> Query:
    """A gauge, or anything else that is no rate."""
    return Query(expression, _legend(by))


def _legend(by: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by.split(", ")) if by else ""
