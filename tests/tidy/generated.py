"""Parts of pages that are made from code. `make docs` rewrites them where they stand.

A page holds such a part between two comments, `<!-- generated: NAME -->` and
`<!-- /generated -->`; what stands between them belongs to this file.
"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from services.featuresets import SETS
from services.featuresets.tables import features_table
from services.tools.history.rules import draw_rules
from services.wire.diagram import draw_flow
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
}
"""What can stand in a page, by the name its marker gives."""

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


if __name__ == "__main__":
    main()
