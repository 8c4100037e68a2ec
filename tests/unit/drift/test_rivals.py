"""Plain rules on served rows: the same as training's, and none where there is nothing to know."""

import numpy as np
import pytest

from services.drift.core.performance import track
from services.drift.core.standing import Standing
from services.drift.core.truths import Market
from services.drift.rivals import defined, rivals_of, training_shares
from services.models.classes import DOWN, FLAT, UP
from services.scoring.errors import TooLittleDataError
from tests.support.model_kit import COLUMNS, WIDTH
from tests.support.spoken import MODEL, Row, Said, at_us, market, model, predictions, window

SHARES = (0.25, 0.5, 0.25)


def inputs(rows: int = 3) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    made = np.zeros((rows, WIDTH))
    made[:, COLUMNS.index("return_1s")] = [-1.0, 0.0, 2.0][:rows]
    made[:, COLUMNS.index("queue_imbalance")] = [0.5, -0.5, 0.0][:rows]
    return made


def test_each_rule_says_what_its_input_says() -> None:
    made = rivals_of(COLUMNS, inputs(), SHARES)
    said = {name: rival.probabilities.argmax(axis=1).tolist() for name, rival in made.items()}
    assert said == {
        "majority": [FLAT, FLAT, FLAT],
        "last_move": [DOWN, FLAT, UP],
        "imbalance": [UP, DOWN, FLAT],
    }
    assert made["majority"].probabilities[0].tolist() == list(SHARES)
    assert [name for name, rival in made.items() if rival.states_probabilities] == ["majority"]


def test_a_rule_whose_input_is_not_there_is_left_out() -> None:
    columns = [name for name in COLUMNS if name != "queue_imbalance"]
    made = rivals_of(columns, inputs()[:, : WIDTH - 1], None)
    assert list(made) == ["last_move"]


def test_a_row_without_an_input_stops_nobody() -> None:
    given = inputs()
    given[1, 3] = np.nan
    assert defined(given).tolist() == [True, False, True]
    said = rivals_of(COLUMNS, given, SHARES)["last_move"].probabilities
    assert said.argmax(axis=1)[[0, 2]].tolist() == [DOWN, UP]


def history(first: int, last: int) -> Market:
    """A mid that rises for a while: labels up, up to where nothing moves any more."""
    return market([Row(0, s, 100 + min(s, 60)) for s in range(first, last + 1)])


def test_shares_are_those_of_the_training_and_of_nothing_later() -> None:
    manifest = model()
    data = {name: getattr(manifest.data, name) for name in manifest.data.__struct_fields__}
    trained = type(manifest.data)(**data | {"first_grid_us": at_us(10), "last_grid_us": at_us(109)})
    changed = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    manifest = type(manifest)(**changed | {"data": trained})
    # Of seconds 10 to 99 there are labels; up to 59 the mid is higher ten seconds later.
    expected = (0.0, 40 / 90, 50 / 90)
    assert training_shares(history(10, 109), manifest) == pytest.approx(expected)
    assert training_shares(history(0, 300), manifest) == pytest.approx(expected)
    with pytest.raises(TooLittleDataError, match="no majority"):
        training_shares(history(200, 300), manifest)


def test_a_window_is_judged_beside_them() -> None:
    rows = [Row(0, s, 1_000 + 2 * (s // 20 % 2) * (s % 20)) for s in range(811)]
    made = np.zeros((len(rows), WIDTH))
    made[:, COLUMNS.index("return_1s")] = [s // 20 % 2 for s in range(811)]
    said = [Said(0, s, FLAT) for s in range(800)]
    found, _ = track(
        MODEL, 1, {1: model(1, 0.2)}, window(0, 800), predictions(said), market(rows),
        rivals_of(COLUMNS, made, SHARES),
    )  # fmt: skip
    assert found.standing is Standing.FALLEN
    assert "less that of last_move" in found.detail
    figures = {part.name: set(part.figures.scores) for part in found.rivals}
    assert "log_loss" in figures["majority"]
    assert "log_loss" not in figures["imbalance"]
