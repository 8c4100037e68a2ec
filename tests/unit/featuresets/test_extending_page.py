"""docs/extending.md, done as it is written: its set in a copy of the package, its model's code."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from services.featuresets.definitions import FeatureSet
from services.models import predictors
from tests.support import plain_features
from tests.support.drawn_ticks import seeded_ticks
from tests.support.feature_checks import (
    difference_after_rewind,
    difference_to_plain,
    folded,
)
from tests.support.page_examples import example
from tests.support.planted_fold import planted_sets
from tests.tidy.tree import ROOT

PAGE: Final = ROOT / "docs" / "extending.md"
_PLACE: Final = re.compile(r"`(\w+)`(?: and `(\w+)`)? in\s+`([\w/]+\.py)`")
_PACKAGE: Final = ROOT / "services" / "featuresets"
_LAST: Final = "from services.featuresets.microstructure_v2 import MICROSTRUCTURE_V2\n"
_LISTED: Final = "(MICROSTRUCTURE_V1, MICROSTRUCTURE_V2)"


def places_on_page(text: str) -> list[tuple[str, str]]:
    """Each name that the page says stands in a file, and the file."""
    return [
        (name, file)
        for first, second, file in _PLACE.findall(text)
        for name in (first, second)
        if name
    ]


def absent(text: str) -> list[str]:
    """Of those, what is not there."""
    return [
        f"{name} in {file}"
        for name, file in places_on_page(text)
        if not re.search(rf"\b{name}\b", (ROOT / file).read_text("utf-8"))
    ]


def sets_with_tape(folder: Path, old: str = "", new: str = "") -> Mapping[str, FeatureSet[Any]]:
    """Steps 1 and 2 in a copy of the package; `old` and `new` change the page's code."""
    block = example("docs/extending.md", "A feature set", "python")
    assert old in block
    imports = (_PACKAGE / "microstructure_v1.py").read_text("utf-8").partition("_WINDOWS_S")[0]
    listing = (_PACKAGE / "__init__.py").read_text("utf-8")
    assert listing.count(_LAST) == listing.count(_LISTED) == 1
    with_tape = listing.replace(_LISTED, f"{_LISTED[:-1]}, TAPE_V1)").replace(
        _LAST, f"{_LAST}from services.featuresets.tape_v1 import TAPE_V1\n"
    )
    added = {"tape_v1": imports + block.replace(old, new)}
    return planted_sets(folder, "__init__", listing, with_tape, added)


def second_opinion(at: Any) -> tuple[int | None, ...]:  # noqa: ANN401 - a moment, which is private
    """Step 3."""
    last = at.last
    has_both = last.bid > 0 and last.ask > 0
    return (
        at.signed(30),
        last.ask - last.bid if has_both else None,
        last.ask + last.bid if has_both else None,
    )


def test_the_set_of_the_page_is_what_its_second_opinion_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plain_features._SETS, "tape_v1", (30, second_opinion))
    ticks = seeded_ticks(5, 300, 700_000)
    tape = sets_with_tape(tmp_path)["tape_v1"]
    assert tape.columns == ("signed_volume_30s", "spread", "mid")
    assert any(None not in row.values for row in folded(tape, ticks))
    assert difference_to_plain(tape, ticks) is None
    assert difference_after_rewind(tape, ticks[:100]) is None


def test_a_slip_in_the_code_of_the_page_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plain_features._SETS, "tape_v1", (30, second_opinion))
    slipped = sets_with_tape(tmp_path, "_WINDOWS_S: Final = (30,)", "_WINDOWS_S: Final = (29,)")
    difference = difference_to_plain(slipped["tape_v1"], seeded_ticks(5, 300, 700_000))
    assert difference is not None


def test_the_model_of_the_page_answers_a_row_alone_as_among_others() -> None:
    names = dict(vars(predictors))
    exec(example("docs/extending.md", "A new kind of model", "python"), names)  # noqa: S102 - the repository's own page
    form = names["StumpForm"](3, 1, 0.25, (0.7, 0.2, 0.1), (0.1, 0.3, 0.6))
    stump = names["StumpPredictor"](form)
    rows = np.random.default_rng(1).normal(size=(50, 3))
    together = stump.probabilities(rows)
    assert np.abs(together.sum(axis=1) - 1).max() < 1e-6
    assert {tuple(row) for row in together[rows[:, 1] > 0.25].round(3)} == {(0.1, 0.3, 0.6)}
    for place in range(len(rows)):
        assert np.array_equal(stump.probabilities(rows[place : place + 1])[0], together[place])


def test_what_the_page_says_stands_in_a_file_stands_there() -> None:
    text = PAGE.read_text("utf-8")
    assert len(places_on_page(text)) > 5
    assert absent(text) == []
    planted = text.replace("`TRADE_SETS` in", "`TAPE_SETS` in")
    assert absent(planted) == ["TAPE_SETS in services/featuresets/__init__.py"]
