"""What goes into a model and what comes out, for who reads its folder without this code.

It follows from the manifest and the feature definitions; `read_model` refuses a folder whose schema
says anything else.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.models.errors import ModelRefusedError, Refusal
from services.models.manifest import ModelManifest

FLOAT: Final = "float64"
PROBABILITY: Final = "probability"


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number of a vector, or of an answer."""

    name: str
    type: str
    """As NumPy and MLflow call it."""
    unit: str
    """Of the feature set's definition; `probability`: from 0 to 1, all of a row add up to 1."""
    nullable: bool
    """Whether it may be missing, null or not finite: never, here."""


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns in their order."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]


def schema_of(manifest: ModelManifest) -> Schema:
    """What the manifest and this code's feature definitions say; no unit: not defined here."""
    units = _units(manifest.feature_set)
    inputs = (Column(name, FLOAT, units.get(name, ""), nullable=False) for name in manifest.columns)
    outputs = (Column(name, FLOAT, PROBABILITY, nullable=False) for name in manifest.classes)
    return Schema(tuple(inputs), tuple(outputs))


def encode_schema(schema: Schema) -> bytes:
    """JSON for people and programs: the same schema, the same bytes."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2)


def check_schema(schema: Schema, manifest: ModelManifest) -> None:
    """Refuse a schema that is not the manifest's.

    Units are held too where this code has the definitions that the model was trained on.

    Raises:
        ModelRefusedError: wrong_schema.
    """
    expected = schema_of(manifest)
    feature_set = SETS.get(manifest.feature_set)
    if feature_set is None or fingerprint(feature_set) != manifest.fingerprint:
        expected = msgspec.structs.replace(expected, inputs=_without_units(expected))
        schema = msgspec.structs.replace(schema, inputs=_without_units(schema))
    for side, stated, right in (
        ("inputs", schema.inputs, expected.inputs),
        ("outputs", schema.outputs, expected.outputs),
    ):
        if stated != right:
            said = next((a.name for a, b in zip(stated, right, strict=False) if a != b), "")
            where = f" at {said!r:.80}" if said else f": {len(stated)} and not {len(right)}"
            raise ModelRefusedError(
                Refusal.WRONG_SCHEMA, f"its {side} are not those of the manifest{where}"
            )


def _units(name: str) -> Mapping[str, str]:
    feature_set = SETS.get(name)
    return {} if feature_set is None else {each.name: each.unit for each in feature_set.features}


def _without_units(schema: Schema) -> tuple[Column, ...]:
    return tuple(msgspec.structs.replace(column, unit="") for column in schema.inputs)
