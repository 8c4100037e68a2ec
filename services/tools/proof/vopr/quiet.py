"""What a simulated process does without: metrics, log lines, and encoding the same twice."""

from collections.abc import Iterable
from typing import Any

import structlog
from structlog.typing import EventDict

from services.domain.origin import Origin
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec, Decoded, UndecodableError, local_schemas
from services.wire.messages import Payload

_ROUND_TRIPS_EVERY = 32
"""One message in so many is decoded from its bytes although its value is known."""


class SilentTelemetry(Telemetry):
    """Counts and says nothing."""

    def __init__(self, room: str) -> None:
        super().__init__(room)
        critical_alone = structlog.make_filtering_bound_logger("critical")
        logger = structlog.wrap_logger(None, processors=[_drop], wrapper_class=critical_alone)
        self.log = logger.bind()

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Nothing."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Nothing."""

    def observe_all(self, name: str, values: Iterable[float], **labels: str) -> None:
        """Nothing."""

    def observe_age(self, name: str, timestamp_ms: int, **labels: str) -> None:
        """Nothing."""


def _drop(_logger: object, _method: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


class RememberingCodec(Codec):
    """The codec, and what it said before.

    Encoding and decoding are functions of their input, and most of what a simulation costs: each
    message is encoded by the room, its replays and the reference, and decoded by all that read it.
    """

    def __init__(self) -> None:
        super().__init__(local_schemas())
        self._encoded: dict[tuple[str, Origin, Payload], bytes] = {}
        self._decoded: dict[tuple[str, bytes | None], Decoded[Any]] = {}
        self._foreign: dict[tuple[str, bytes | None], Decoded[Any] | UndecodableError] = {}

    def forget(self) -> None:
        """Begin anew: what was said takes memory."""
        self._encoded.clear()
        self._decoded.clear()
        self._foreign.clear()

    def encode(self, topic: str, origin: Origin, payload: Payload) -> bytes:
        """As the codec does."""
        key = (topic, origin, payload)
        value = self._encoded.get(key)
        if value is None:
            value = self._encoded[key] = super().encode(topic, origin, payload)
            decoded = Decoded(origin, payload, 0)
            if len(self._encoded) % _ROUND_TRIPS_EVERY == 0:
                again = super().decode(topic, value)
                assert again == decoded, f"{payload} comes back as {again}"
            self._decoded[topic, value] = decoded
        return value

    def decode(self, topic: str, value: bytes | None) -> Decoded[Any]:
        """As the codec does."""
        key = (topic, value)
        decoded = self._decoded.get(key)
        if decoded is None:
            decoded = self._decoded[key] = super().decode(topic, value)
        return decoded

    def decode_foreign(self, topic: str, value: bytes | None) -> Decoded[Any]:
        """As the codec does."""
        key = (topic, value)
        found = self._foreign.get(key)
        if found is None:
            try:
                found = super().decode_foreign(topic, value)
            except UndecodableError as error:
                found = error
            self._foreign[key] = found
        if isinstance(found, UndecodableError):
            raise found
        return found
