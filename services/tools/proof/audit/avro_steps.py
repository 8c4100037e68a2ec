"""An Avro schema as a list of steps, which reading and writing follow without looking names up."""

from sys import intern
from typing import Any, Final

type Schema = dict[str, Any]

# What a step holds.
NUMBER: Final = 0
"""A long."""
SHORT_NUMBER: Final = 1
"""An int, of 32 bits."""
TEXT: Final = 2
BYTES: Final = 3
BOOLEAN: Final = 4
RECORD: Final = 5
ARRAY: Final = 6

_PLAIN: Final = {
    "long": NUMBER,
    "int": SHORT_NUMBER,
    "string": TEXT,
    "bytes": BYTES,
    "boolean": BOOLEAN,
}


class Step:
    """One value: a field, or an array's item."""

    __slots__ = ("kind", "name", "steps")

    def __init__(self, name: str, kind: int, steps: "list[Step]") -> None:
        # So that looking it up in a message finds the very same text, and compares no letters.
        self.name = intern(name)
        """Of the field; empty for an item."""
        self.kind = kind
        self.steps = steps
        """A record's fields, or an array's one item."""


def compile_steps(schema: Schema) -> list[Step]:
    """The fields of a record.

    Raises:
        ValueError: the schema has a type that no message of the exchange has.
    """
    return _fields(schema, {})


def _fields(schema: Schema, named: dict[str, list[Step]]) -> list[Step]:
    steps = [_step(field["name"], field["type"], named) for field in schema["fields"]]
    for name in (schema["name"], f"{schema.get('namespace', '')}.{schema['name']}"):
        named[name] = steps
    return steps


def _step(name: str, kind: Any, named: dict[str, list[Step]]) -> Step:  # noqa: ANN401 - JSON
    if isinstance(kind, str):
        if kind in named:
            return Step(name, RECORD, named[kind])
        if kind in _PLAIN:
            return Step(name, _PLAIN[kind], [])
    elif isinstance(kind, dict) and kind["type"] == "array":
        return Step(name, ARRAY, [_step("", kind["items"], named)])
    elif isinstance(kind, dict) and kind["type"] == "record":
        return Step(name, RECORD, _fields(kind, named))
    msg = f"{name or 'an item'} is a {kind}, which no message of the exchange has"
    raise ValueError(msg)
