"""Files, and parts of pages, that are made from code. `make docs` rewrites them.

A page holds such a part between two comments, `<!-- generated: NAME -->` and
`<!-- /generated -->`; what stands between them belongs to this file.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from services.featuresets import SETS
from services.featuresets.tables import features_table
from services.gateway.app import describe, make_app
from services.gateway.asyncapi import describe_messages
from services.tools.bench.run_all import JSON_NAME, PAGE_NAME, Found, Run
from services.tools.bench.run_page import draw_page
from services.tools.bench.run_plots import IMAGES, draw_plot, file_of, is_drawn
from services.tools.history.rules import draw_rules
from services.tools.observe.catalogue import draw_labels, draw_metrics
from services.tools.observe.dashboards import DASHBOARDS, dashboard_json
from services.wire.diagram import draw_flow
from tests.support.gateway_memory import make_gateway
from tests.tidy.scale import draw_stages, draw_times
from tests.tidy.tree import ROOT, sources_with


def _mermaid(source: str) -> str:
    return f"```mermaid\n{source}```"


MAKERS: Final[Mapping[str, Callable[[], str]]] = {
    "flow": lambda: _mermaid(draw_flow()),
    **{
        f"features {feature_set.name}": partial(features_table, feature_set)
        for feature_set in SETS.values()
    },
    "history rules": draw_rules,
    "metric labels": draw_labels,
    "metrics": draw_metrics,
    "cost by stage": draw_stages,
    "what multiples need": draw_times,
}
"""What can stand in a page, by the name its marker gives."""


def _openapi() -> str:
    return _document(describe(make_app(make_gateway())))


def _asyncapi() -> str:
    return _document(describe_messages())


def _document(described: dict[str, Any]) -> str:
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


RUN: Final = ROOT / "docs" / JSON_NAME
"""What `outcry bench all` found, where somebody has put it."""


def run_files(file: Path = RUN) -> dict[str, Callable[[], str]]:
    """The page of that run and its pictures, by path; nothing where there is no run."""
    if not file.exists():
        return {}
    run = msgspec.json.decode(file.read_bytes(), type=Run)
    return {
        f"docs/{PAGE_NAME}": partial(draw_page, run),
        **{
            f"docs/{IMAGES}/{file_of(found)}": partial(_picture, found)
            for found in run.found
            if is_drawn(found)
        },
    }


def _picture(found: Found) -> str:
    return draw_plot(found).decode()


FILES: Final[Mapping[str, Callable[[], str]]] = {
    **run_files(),
    "docs/openapi.json": _openapi,
    "docs/asyncapi.json": _asyncapi,
    **{
        f"infra/grafana/dashboards/{dashboard.name}.json": partial(dashboard_json, dashboard)
        for dashboard in DASHBOARDS
    },
}
"""Whole files that are made from code, by their path."""

_PART: Final = re.compile(
    r"^(?P<begin><!-- generated: (?P<name>[^\n]*?) -->\n)(?P<body>.*?)"
    r"(?P<end>^<!-- /generated -->$)",
    re.MULTILINE | re.DOTALL,
)


def regenerate(page: str) -> str:
    """The page with each generated part made anew.

    Raises:
        LookupError: a marker names a part that nothing makes.
    """

    def make(found: re.Match[str]) -> str:
        maker = MAKERS.get(found["name"])
        if maker is None:
            raise LookupError(f"no generated part is named {found['name']!r}")
        return f"{found['begin']}{maker()}\n{found['end']}"

    return _PART.sub(make, page)


def names_in(page: str) -> list[str]:
    """The generated parts a page holds."""
    return [found["name"] for found in _PART.finditer(page)]


def main() -> None:
    """Rewrite the pages that are out of date, and name them."""
    for source in sources_with(".md"):
        fresh = regenerate(source.text)
        if fresh != source.text:
            Path(ROOT, source.path).write_text(fresh, encoding="utf-8")
            sys.stdout.write(f"{source.path} rewritten\n")
    for path, make_file in FILES.items():
        file, fresh = Path(ROOT, path), make_file()
        if not file.exists() or file.read_text(encoding="utf-8") != fresh:
            file.write_text(fresh, encoding="utf-8")
            sys.stdout.write(f"{path} rewritten\n")


if __name__ == "__main__":
    main()
