"""Whatever stands in a booster's file: it is refused, or it is a model that answers soundly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.models.errors import ModelRefusedError, Refusal
from services.models.forms import decode_json, decode_predictor
from services.models.manifest import ModelManifest
from services.models.predictors import Predictor
from tests.support.forge import booster_bytes
from tests.support.model_kit import COLUMNS, rows

DATA = booster_bytes()
WHERE = st.integers(0, len(DATA) - 1)


def loaded(data: bytes) -> Predictor | Refusal:
    try:
        return decode_predictor("xgboost", data, COLUMNS)
    except ModelRefusedError as error:
        return error.reason


@settings(max_examples=300)
@given(changes=st.lists(st.tuples(WHERE, st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_are_refused_or_give_probabilities(changes: list[tuple[int, int]]) -> None:
    forged = bytearray(DATA)
    for place, byte in changes:
        forged[place] = byte
    model = loaded(bytes(forged))
    if isinstance(model, Refusal):
        return
    answer = model.probabilities(rows())
    assert np.isfinite(answer).all()
    assert np.abs(answer.sum(axis=1) - 1).max() < 1e-5


@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert loaded(data) in {Refusal.NOT_NATIVE, Refusal.DAMAGED}
    assert loaded(DATA[:9] + data) is Refusal.DAMAGED
    assert loaded(DATA[:2_000] + data) is Refusal.DAMAGED


@given(data=st.binary(max_size=100) | st.text('[]{}",:\\0e.-', max_size=100).map(str.encode))
def test_any_text_for_a_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ModelRefusedError):
        decode_json(data, ModelManifest, "manifest.json")
