"""Predictors as bytes, and back: XGBoost's own UBJSON, and JSON of plain numbers for the rest."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.models.booster_file import check_booster
from services.models.classes import CLASSES
from services.models.errors import ModelRefusedError, Refusal
from services.models.manifest import Kind
from services.models.predictors import (
    ConstantForm,
    ConstantPredictor,
    Form,
    LinearForm,
    LinearPredictor,
    Predictor,
    RuleForm,
    RulePredictor,
    XGBoostPredictor,
)
from services.models.vector import VALUE_MAX

JSON_DEPTH_MAX: Final = 8
"""Of any JSON file of a model; the deepest of ours has 5."""
SCALE_MIN: Final = 1e-12
"""With these bounds no input that a vector may hold overflows on its way through a linear form."""
WEIGHT_MAX: Final = 1e12

_FORMS: Final[Mapping[Kind, type[Form]]] = {
    "linear": LinearForm,
    "constant": ConstantForm,
    "rule": RuleForm,
}
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")


def encode_predictor(predictor: Predictor) -> bytes:
    """The model's file."""
    match predictor:
        case XGBoostPredictor():
            return bytes(predictor.booster.save_raw("ubj"))
        case LinearPredictor() | ConstantPredictor() | RulePredictor():
            return msgspec.json.encode(predictor.form)
    raise AssertionError(f"{type(predictor).__name__} has no file")


def decode_predictor(
    kind: Kind, data: bytes, columns: Sequence[str], *, is_checked_already: bool = False
) -> Predictor:
    """A predictor from bytes of any origin.

    Args:
        kind: of the manifest.
        data: the model's file.
        columns: its inputs.
        is_checked_already: these very bytes passed for these columns, in whichever process: what
            XGBoost does not check itself is not looked at again.

    Raises:
        ModelRefusedError: they are no model of this kind and these columns.
    """
    if kind == "xgboost":
        if not is_checked_already:
            check_booster(data, columns)
        return _load_booster(data)
    form = decode_json(data, _FORMS[kind], "model.json")
    match form:
        case LinearForm():
            _check_linear(form, len(columns))
            return LinearPredictor(form)
        case ConstantForm():
            _check_width(form.width, len(columns))
            _check_answers(form.answer)
            return ConstantPredictor(form)
        case RuleForm():
            _check_width(form.width, len(columns))
            if not 0 <= form.column < form.width:
                raise ModelRefusedError(Refusal.WRONG_COLUMNS, "the rule's input is none of them")
            _check_answers(form.below, form.at, form.above)
            return RulePredictor(form)
    raise AssertionError(f"{kind} is no kind")


def decode_json[T](data: bytes, shape: type[T], name: str) -> T:
    """JSON of any origin as this shape.

    Raises:
        ModelRefusedError: too_deep, or it is no JSON of this shape (malformed).
    """
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > JSON_DEPTH_MAX:
            raise ModelRefusedError(Refusal.TOO_DEEP, f"{name} is deeper than {JSON_DEPTH_MAX}")
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelRefusedError(Refusal.MALFORMED, f"{name}: {error}") from error


def _load_booster(data: bytes) -> XGBoostPredictor:
    from xgboost import Booster  # noqa: PLC0415 - it takes seconds
    from xgboost.core import XGBoostError  # noqa: PLC0415

    try:
        booster: Any = Booster({"nthread": 1})
        booster.load_model(bytearray(data))
        return XGBoostPredictor(booster)
    except XGBoostError as error:
        cause = (str(error).splitlines() or ["no cause"])[0][:160]
        raise ModelRefusedError(Refusal.DAMAGED, f"XGBoost can't load it: {cause}") from error


def _check_linear(form: LinearForm, width: int) -> None:
    rows = (form.mean, form.scale, *form.weights)
    if any(len(row) != width for row in rows):
        raise ModelRefusedError(
            Refusal.WRONG_COLUMNS, f"it has not numbers for each of {width} columns"
        )
    if len(form.weights) != CLASSES or len(form.bias) != CLASSES:
        raise ModelRefusedError(Refusal.WRONG_CLASSES, f"it tells {len(form.bias)} classes apart")
    fits = (
        all(abs(number) <= VALUE_MAX for number in form.mean)
        and all(SCALE_MIN <= number <= VALUE_MAX for number in form.scale)
        and all(abs(number) <= WEIGHT_MAX for row in (*form.weights, form.bias) for number in row)
    )
    if not fits:
        raise ModelRefusedError(
            Refusal.WRONG_PROBABILITIES, "with one of its numbers an input can overflow"
        )


def _check_width(width: int, columns: int) -> None:
    if width != columns:
        raise ModelRefusedError(
            Refusal.WRONG_COLUMNS, f"it takes {width} inputs and the manifest has {columns}"
        )


def _check_answers(*answers: Sequence[float]) -> None:
    for answer in answers:
        if len(answer) != CLASSES:
            raise ModelRefusedError(Refusal.WRONG_CLASSES, f"it tells {len(answer)} classes apart")
        if not (all(0 <= p <= 1 for p in answer) and abs(sum(answer) - 1) < 1e-6):
            raise ModelRefusedError(Refusal.WRONG_PROBABILITIES, "an answer does not add up to 1")
