"""Whoever adds a feature set writes it in three more places: this says at once which is missing."""

from collections.abc import Iterator, Mapping
from typing import Final

from services.featuresets import SETS
from tests.tidy.generated import names_in
from tests.tidy.tree import ROOT

DECLARED: Final = {
    "feature_repo/sources.py": '{0}_lake = catalog.source(SETS["{0}"], LAKE)',
    "feature_repo/views.py": '{0} = catalog.view(SETS["{0}"], {0}_lake)',
    "feature_repo/feature_services.py": '{0}_service = catalog.service(SETS["{0}"], views.{0})',
}
"""A set's line in each file; without it `feast apply` takes away what a room declared."""
PAGE: Final = "docs/features.md"


def missing(name: str, texts: Mapping[str, str]) -> Iterator[str]:
    """What a set lacks, by the text of each file."""
    for path, line in DECLARED.items():
        if line.format(name) not in texts[path].splitlines():
            yield f"{path} lacks: {line.format(name)}"
    if f"features {name}" not in names_in(texts[PAGE]):
        yield f"{PAGE} lacks: <!-- generated: features {name} -->"


def the_texts() -> dict[str, str]:
    """Of the files that must name each set."""
    return {path: (ROOT / path).read_text() for path in (*DECLARED, PAGE)}


def test_every_feature_set_is_declared_to_feast_and_has_its_table_on_the_page() -> None:
    texts = the_texts()
    lacking = [found for name in SETS for found in missing(name, texts)]
    assert not lacking, "\n".join(lacking)


def test_a_set_that_was_forgotten_is_found_in_each_place() -> None:
    found = list(missing("tape_v1", the_texts()))
    assert len(found) == len(DECLARED) + 1
    assert (
        found[1]
        == 'feature_repo/views.py lacks: tape_v1 = catalog.view(SETS["tape_v1"], tape_v1_lake)'
    )
