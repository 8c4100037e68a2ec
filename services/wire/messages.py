"""Messages in memory: what a core emits, and which class each Avro record becomes."""

from typing import Final

import msgspec

from services.domain import commands, controls, events, features, predictions
from services.domain.origin import Origin

type Payload = msgspec.Struct


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message a core wants written: where to, and what. The loop encodes and sends it."""

    topic: str
    partition: int
    key: str
    origin: Origin
    payload: Payload


_MODULES: Final = (commands, controls, events, features, predictions)


def payload_class(record: str) -> type[Payload]:
    """The struct a record decodes to. Records and classes share their names."""
    for module in _MODULES:
        found = getattr(module, record, None)
        if isinstance(found, type) and issubclass(found, msgspec.Struct):
            return found
    msg = f"no message class is named {record}"
    raise LookupError(msg)
