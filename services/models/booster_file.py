"""XGBoost's model file, held against what XGBoost itself does not check.

Its loader trusts lengths, and its predictor trusts the indices of nodes, features and classes: a
forged file crashes the process, or makes it read what is not its own. So the file is decoded here
first (`ubjson`), and refused unless it is what training makes: multi:softprob over three classes,
plain numeric trees, no index outside its table, no path without an end, and no leaf from which a
probability could become NaN.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from services.models.classes import CLASSES
from services.models.errors import ModelRefusedError, Refusal
from services.models.ubjson import Decoded, Numbers, UbjsonError, decode_ubjson

TREES_MAX: Final = 30_000
TREE_DEPTH_MAX: Final = 64
"""XGBoost explains a tree by recursion, a level a call."""
MARGIN_MAX: Final = 1e30
"""What all trees together may add to a class; of a trained model it is below 100."""

_START: Final = b"{L\x00\x00\x00\x00\x00\x00\x00"
_TOP: Final = {"learner", "version"}
_LEARNER: Final = {
    "attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param",
    "objective",
}  # fmt: skip
_NUMERIC_TYPES: Final = {"float", "int", "q", "i"}
_COUNT: Final = re.compile(r"\d{1,9}")
_BY_NODE: Final[Mapping[str, np.dtype[Any]]] = {
    "base_weights": np.dtype(">f4"),
    "default_left": np.dtype(">u1"),
    "left_children": np.dtype(">i4"),
    "loss_changes": np.dtype(">f4"),
    "parents": np.dtype(">i4"),
    "right_children": np.dtype(">i4"),
    "split_conditions": np.dtype(">f4"),
    "split_indices": np.dtype(">i4"),
    "split_type": np.dtype(">u1"),
    "sum_hessian": np.dtype(">f4"),
}
"""Each array of a tree that has an item a node, and its type."""
_CHECKED: Final = (
    "left_children", "parents", "right_children", "split_conditions", "split_indices",
    "split_type", "sum_hessian",
)  # fmt: skip
"""Those that loading, predicting and explaining follow."""
_NO_PARENT: Final = 0x7FFFFFFF
"""What a root says."""
_OF_CATEGORIES: Final = (
    "categories", "categories_nodes", "categories_segments", "categories_sizes",
)  # fmt: skip


class _NotOursError(Exception):
    """The file says something that training does not write."""


def check_booster(data: bytes, columns: Sequence[str]) -> None:
    """Refuse a file that is not the model of these columns, before XGBoost sees it.

    Raises:
        ModelRefusedError: not_native, damaged, wrong_columns, wrong_classes, wrong_probabilities.
    """
    if not data.startswith(_START):
        raise ModelRefusedError(
            Refusal.NOT_NATIVE, f"it begins with {data[:8]!r}, which is not XGBoost's UBJSON"
        )
    try:
        found = decode_ubjson(data)
        learner = _part(found, "learner", _TOP)
        _check_learner(learner, columns)
        model = learner["gradient_booster"]["model"]
        _check_trees(model, len(columns))
    except UbjsonError as error:
        raise ModelRefusedError(Refusal.DAMAGED, str(error)) from error
    except _NotOursError as error:
        raise ModelRefusedError(Refusal.DAMAGED, f"it is no model of ours: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelRefusedError(
            Refusal.DAMAGED, f"it lacks a part that every model has ({error})"
        ) from error


def _part(whole: dict[str, Any], name: str, names: set[str]) -> dict[str, Any]:
    if foreign := sorted(set(whole) - names):
        raise _NotOursError(f"it has a part {foreign[0][:40]!r}")
    part: dict[str, Any] = whole[name]
    return part


def _check_learner(learner: dict[str, Any], columns: Sequence[str]) -> None:
    booster = _part(learner, "gradient_booster", _LEARNER)
    if booster["name"] != "gbtree":
        raise _NotOursError(f"its booster is {booster['name']!r:.40}")
    objective = learner["objective"]
    if objective["name"] != "multi:softprob":
        raise _NotOursError(f"its objective is {objective['name']!r:.40}")
    parameters = learner["learner_model_param"]
    stated = (parameters["num_class"], objective["softmax_multiclass_param"]["num_class"])
    if stated != (str(CLASSES), str(CLASSES)):
        raise ModelRefusedError(Refusal.WRONG_CLASSES, f"it tells {stated[0]!r:.20} classes apart")
    if parameters["num_target"] != "1":
        raise _NotOursError(f"it has {parameters['num_target']!r:.20} targets")
    names = learner["feature_names"]
    if names != list(columns) or _count(parameters["num_feature"]) != len(columns):
        raise ModelRefusedError(
            Refusal.WRONG_COLUMNS, "its inputs are not the manifest's columns in their order"
        )
    if not set(learner["feature_types"]) <= _NUMERIC_TYPES:
        raise _NotOursError("an input is no number")
    _check_base_score(parameters["base_score"])


def _check_base_score(text: str) -> None:
    try:
        scores = [float(score) for score in text.strip("[]").split(",")]
    except ValueError as error:
        raise _NotOursError(f"its base score is {text!r:.40}") from error
    if len(scores) not in {1, CLASSES}:
        raise ModelRefusedError(Refusal.WRONG_CLASSES, f"it has {len(scores)} base scores")
    if not all(abs(score) < MARGIN_MAX for score in scores):
        raise ModelRefusedError(Refusal.WRONG_PROBABILITIES, "its base score is not finite")


def _check_trees(model: dict[str, Any], columns: int) -> None:
    trees = model["trees"]
    count = len(trees)
    if count > TREES_MAX:
        raise _NotOursError(f"it has {count:,} trees, {TREES_MAX:,} are allowed")
    if _count(model["gbtree_model_param"]["num_trees"]) != count:
        raise _NotOursError("it has another number of trees than it says")
    classes = _integers(model["tree_info"])
    if len(classes) != count or (count and not 0 <= classes.min() <= classes.max() < CLASSES):
        raise ModelRefusedError(Refusal.WRONG_CLASSES, "a tree is of no class")
    rounds = _integers(model["iteration_indptr"])
    if not len(rounds) or rounds[0] != 0 or rounds[-1] != count or (np.diff(rounds) < 0).any():
        raise _NotOursError("its rounds do not hold its trees")
    if model["cats"]["enc"]:
        raise _NotOursError("it has categories")
    if count:
        _check_nodes(trees, columns)


def _check_nodes(trees: Sequence[dict[str, Any]], columns: int) -> None:
    """All nodes of all trees in one table, in which a tree's own begin at its root."""
    counts = np.array([_check_arrays(place, tree) for place, tree in enumerate(trees)], np.int64)
    table = {name: np.concatenate([tree[name] for tree in trees]) for name in _CHECKED}
    roots = np.concatenate(([0], np.cumsum(counts)[:-1]))
    own_count, own_root = np.repeat(counts, counts), np.repeat(roots, counts)
    left, right = table["left_children"], table["right_children"]
    is_inner = left != -1
    if table["split_type"].any():
        raise _NotOursError("a split is of another kind")
    if ((right != -1) != is_inner).any():
        raise _NotOursError("a node has one child")
    split = table["split_indices"][is_inner]
    if ((split < 0) | (split >= columns)).any():
        raise _NotOursError("a split is by an input that there is not")
    for child in (left, right):
        if (is_inner & ((child <= 0) | (child >= own_count))).any():
            raise _NotOursError("a child is no node of its tree")
    own_index = np.arange(len(left)) - own_root
    parents = table["parents"]
    is_root = own_index == 0
    if (np.where(is_root, parents != _NO_PARENT, (parents < 0) | (parents >= own_index))).any():
        raise _NotOursError("a parent is no node before its child")
    for child in (left, right):
        if (parents[(child + own_root)[is_inner]] != own_index[is_inner]).any():
            raise _NotOursError("a child has another parent")
    _check_paths(roots, left + own_root, right + own_root, is_inner)
    numbers = table["split_conditions"]
    if not (np.isfinite(numbers).all() and np.isfinite(table["sum_hessian"]).all()):
        raise ModelRefusedError(Refusal.WRONG_PROBABILITIES, "a number in a tree is not finite")
    leaves = np.where(is_inner, 0.0, np.abs(numbers.astype(np.float64)))
    if not np.maximum.reduceat(leaves, roots).sum() < MARGIN_MAX:
        raise ModelRefusedError(Refusal.WRONG_PROBABILITIES, "its leaves can add up to infinity")


def _check_arrays(place: int, tree: dict[str, Any]) -> int:
    """How many nodes a tree has: as many as each of its arrays has items."""
    parameters = tree["tree_param"]
    count = _count(parameters["num_nodes"])
    if not count or parameters["size_leaf_vector"] not in {"0", "1"}:
        raise _NotOursError(f"tree {place} has no nodes, or leaves of another kind")
    if any(len(tree[name]) for name in _OF_CATEGORIES):
        raise _NotOursError(f"tree {place} has categories")
    for name, dtype in _BY_NODE.items():
        if tree[name].dtype != dtype or len(tree[name]) != count:
            raise _NotOursError(f"in tree {place}, {name} is not an item a node")
    return count


def _check_paths(roots: Numbers, left: Numbers, right: Numbers, is_inner: Numbers) -> None:
    """Level by level from the roots: nodes met again make a level too wide or a path too long."""
    level = roots
    for _ in range(TREE_DEPTH_MAX):
        level = level[is_inner[level]]
        if not len(level):
            return
        level = np.concatenate((left[level], right[level]))
        if len(level) > len(left):
            break
    raise _NotOursError(f"a path is longer than {TREE_DEPTH_MAX} nodes or comes back")


def _count(text: Decoded) -> int:
    if not (isinstance(text, str) and _COUNT.fullmatch(text)):
        raise _NotOursError(f"{text!r:.40} is no count")
    return int(str(text))


def _integers(values: Decoded) -> Numbers:
    """A list or a typed array of integers."""
    if isinstance(values, list) and not all(type(value) is int for value in values):
        raise _NotOursError("an index is no integer")
    array = np.asarray(values, np.int64 if isinstance(values, list) else None)
    if array.dtype.kind not in "iu":
        raise _NotOursError("an index is no integer")
    return array
