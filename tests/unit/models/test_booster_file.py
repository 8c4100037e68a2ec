"""A forged booster is refused before XGBoost, which would crash or hang on it, sees it."""

import struct
from typing import Any

import numpy as np
import pytest

from services.models.booster_file import TREE_DEPTH_MAX, check_booster
from services.models.errors import ModelRefusedError, Refusal
from services.models.forms import decode_predictor
from services.models.ubjson import UbjsonError, decode_ubjson
from tests.support.forge import (
    Forgery,
    booster_bytes,
    encode_ubjson,
    forged_booster,
    set_node,
    set_part,
    trees_of,
)
from tests.support.model_kit import COLUMNS, rows, xgboost_model

MODEL = ("learner", "gradient_booster", "model")
PARAMETERS = ("learner", "learner_model_param")
LAST = -1


@pytest.fixture(scope="module")
def data() -> bytes:
    return booster_bytes()


def test_what_training_writes_passes_and_is_understood(data: bytes) -> None:
    check_booster(data, COLUMNS)
    # The forging tools keep what they do not change.
    again = forged_booster(data, lambda _: None)
    check_booster(again, COLUMNS)
    expected = xgboost_model().probabilities(rows())
    read = decode_predictor("xgboost", again, COLUMNS)
    assert read.probabilities(rows()).tobytes() == expected.tobytes()


def test_a_booster_cut_to_its_best_iteration_passes() -> None:
    from services.models.predictors import XGBoostPredictor

    whole = xgboost_model(rounds=6)
    cut = XGBoostPredictor(whole.booster[:3])
    read = decode_predictor("xgboost", bytes(cut.booster.save_raw("ubj")), COLUMNS)
    assert read.probabilities(rows()).tobytes() == cut.probabilities(rows()).tobytes()
    assert cut.probabilities(rows()).tobytes() != whole.probabilities(rows()).tobytes()


def _chain(found: dict[str, Any]) -> None:
    """A tree that is one long path."""
    inner = TREE_DEPTH_MAX + 5
    count = 2 * inner + 1
    tree = trees_of(found)[0]
    left = np.full(count, -1, ">i4")
    right = left.copy()
    left[0 : 2 * inner : 2] = np.arange(1, 2 * inner, 2)
    right[0 : 2 * inner : 2] = np.arange(2, 2 * inner + 1, 2)
    for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian"):
        tree[name] = np.zeros(count, ">f4")
    for name in ("default_left", "split_type"):
        tree[name] = np.zeros(count, ">u1")
    tree["split_indices"] = np.zeros(count, ">i4")
    tree["parents"] = ((np.arange(count) - 1) // 2 * 2).astype(">i4")
    tree["parents"][0] = 0x7FFFFFFF
    tree["left_children"], tree["right_children"] = left, right
    tree["tree_param"]["num_nodes"] = str(count)


def _drop(array: str) -> Forgery:
    return lambda found: trees_of(found)[0].pop(array)


def _shorten(array: str) -> Forgery:
    def forge(found: dict[str, Any]) -> None:
        trees_of(found)[0][array] = trees_of(found)[0][array][:-1]

    return forge


def _retype(array: str) -> Forgery:
    def forge(found: dict[str, Any]) -> None:
        trees_of(found)[0][array] = trees_of(found)[0][array].astype(">i8")

    return forge


def _tree_param(name: str, value: object) -> Forgery:
    return lambda found: trees_of(found)[0]["tree_param"].update({name: value})


@pytest.mark.parametrize(
    "forgery,reason",
    [
        # Nodes: out of the table, back to the root, one child, a loop, too long a path.
        (set_node("left_children", 0, 1_000_000), Refusal.DAMAGED),
        (set_node("right_children", 0, -2), Refusal.DAMAGED),
        (set_node("left_children", 1, 0), Refusal.DAMAGED),
        (set_node("left_children", 0, -1), Refusal.DAMAGED),
        (set_node("left_children", 1, 1), Refusal.DAMAGED),
        (_chain, Refusal.DAMAGED),
        # XGBoost's loader follows parents, and crashes where they lead out of the table.
        (set_node("parents", 2, 1_000_000), Refusal.DAMAGED),
        (set_node("parents", 2, -5), Refusal.DAMAGED),
        (set_node("parents", 3, 2), Refusal.DAMAGED),
        (set_node("parents", 0, 0), Refusal.DAMAGED),
        # Inputs and classes that there are not.
        (set_node("split_indices", 0, 10_000), Refusal.DAMAGED),
        (set_node("split_indices", 0, -1), Refusal.DAMAGED),
        (set_part(*MODEL, "tree_info", 0, value=3), Refusal.WRONG_CLASSES),
        (set_part(*MODEL, "tree_info", 0, value=-1), Refusal.WRONG_CLASSES),
        (set_part(*MODEL, "tree_info", value=[]), Refusal.WRONG_CLASSES),
        (set_part(*MODEL, "tree_info", 0, value="0"), Refusal.DAMAGED),
        (set_part(*MODEL, "iteration_indptr", 1, value=99), Refusal.DAMAGED),
        (set_part(*MODEL, "iteration_indptr", LAST, value=99), Refusal.DAMAGED),
        (set_part(*MODEL, "gbtree_model_param", "num_trees", value="99"), Refusal.DAMAGED),
        (set_part(*MODEL, "gbtree_model_param", "num_trees", value="9" * 30), Refusal.DAMAGED),
        (set_part(*MODEL, "cats", "enc", value=[1]), Refusal.DAMAGED),
        # Arrays of another length or type, or none.
        (_shorten("split_conditions"), Refusal.DAMAGED),
        (_retype("left_children"), Refusal.DAMAGED),
        (_drop("split_indices"), Refusal.DAMAGED),
        (_tree_param("num_nodes", "2000000000"), Refusal.DAMAGED),
        (_tree_param("num_nodes", "0"), Refusal.DAMAGED),
        (_tree_param("size_leaf_vector", "3"), Refusal.DAMAGED),
        (set_node("split_type", 0, 1), Refusal.DAMAGED),
        # Numbers from which a probability could become NaN.
        (set_node("split_conditions", LAST, float("nan")), Refusal.WRONG_PROBABILITIES),
        (set_node("split_conditions", LAST, float("inf")), Refusal.WRONG_PROBABILITIES),
        (set_node("split_conditions", LAST, 3e38), Refusal.WRONG_PROBABILITIES),
        (set_node("sum_hessian", 0, float("nan")), Refusal.WRONG_PROBABILITIES),
        (set_part(*PARAMETERS, "base_score", value="[nan,0,0]"), Refusal.WRONG_PROBABILITIES),
        (set_part(*PARAMETERS, "base_score", value="[1e39,0,0]"), Refusal.WRONG_PROBABILITIES),
        (set_part(*PARAMETERS, "base_score", value="zero"), Refusal.DAMAGED),
        (set_part(*PARAMETERS, "base_score", value="[0,0]"), Refusal.WRONG_CLASSES),
        # Another model than the manifest's.
        (set_part(*PARAMETERS, "num_class", value="2"), Refusal.WRONG_CLASSES),
        (set_part(*PARAMETERS, "num_class", value="2000000000"), Refusal.WRONG_CLASSES),
        (set_part(*PARAMETERS, "num_target", value="2"), Refusal.DAMAGED),
        (set_part(*PARAMETERS, "num_feature", value="15"), Refusal.WRONG_COLUMNS),
        (set_part("learner", "feature_names", value=[]), Refusal.WRONG_COLUMNS),
        (set_part("learner", "feature_names", value=list(COLUMNS[::-1])), Refusal.WRONG_COLUMNS),
        (set_part("learner", "feature_types", value=["c"]), Refusal.DAMAGED),
        (set_part("learner", "objective", "name", value="reg:squarederror"), Refusal.DAMAGED),
        (set_part("learner", "gradient_booster", "name", value="dart"), Refusal.DAMAGED),
        (set_part("learner", "gradient_booster", value=7), Refusal.DAMAGED),
        (set_part("learner", "more", value=7), Refusal.DAMAGED),
        (set_part("Config", value={}), Refusal.DAMAGED),
    ],
)
def test_each_forgery_is_refused_with_its_reason(
    data: bytes, forgery: Forgery, reason: Refusal
) -> None:
    with pytest.raises(ModelRefusedError) as refused:
        check_booster(forged_booster(data, forgery), COLUMNS)
    assert refused.value.reason is reason


def test_a_file_cut_anywhere_is_refused(data: bytes) -> None:
    for length in range(0, len(data), 97):
        with pytest.raises(ModelRefusedError) as refused:
            check_booster(data[:length], COLUMNS)
        assert refused.value.reason in {Refusal.NOT_NATIVE, Refusal.DAMAGED}


def _length(count: int) -> bytes:
    return b"L" + struct.pack(">q", count)


@pytest.mark.parametrize(
    "text,cause",
    [
        (b"[#" + _length(2**62), "passes its end"),
        (b"[#" + _length(-1), "passes its end"),
        (b"[$d#" + _length(2**60), "passes its end"),
        (b"[$d#" + _length(3) + b"\x00" * 11, "in the middle"),
        (b"S" + _length(2**40), "passes its end"),
        (b"S" + _length(1) + b"\xff", "no UTF-8"),
        (b"[$Z#" + _length(4), "unknown type"),
        (b"[$d]", "without a count"),
        (b"[[[[[[[[[[[[[[[[", "deeper than"),
        (b"[#l\x00\x00\x00\x01", "a length of another type"),
        (b"H", "unknown marker"),
        (b"", "in the middle"),
        (b"[$d", "in the middle"),
    ],
)
def test_what_is_no_whole_ubjson_is_refused_where_it_breaks(text: bytes, cause: str) -> None:
    with pytest.raises(UbjsonError, match=cause):
        decode_ubjson(b"{" + _length(1) + b"a" + text)


def test_an_object_is_wanted_and_no_name_twice() -> None:
    with pytest.raises(UbjsonError, match="no object"):
        decode_ubjson(b"[]")
    with pytest.raises(UbjsonError, match="stands twice"):
        decode_ubjson(b"{" + (_length(1) + b"a" + b"U\x01") * 2 + b"}")


def test_ubjson_comes_back_as_it_went_in() -> None:
    value = {"a": [1, 2.5, "x", {}], "b": np.arange(4, dtype=">i4"), "ü": {"c": []}}
    found = decode_ubjson(encode_ubjson(value))
    assert found.keys() == value.keys()
    assert found["a"] == value["a"]
    assert found["b"].tolist() == [0, 1, 2, 3]
