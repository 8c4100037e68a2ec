"""A room's core and the audit's model of it, side by side on one partition, over real bytes.

Each input is encoded as the log would hold it and read back without any class, so that the model
is given what it will find; its answers are encoded and must be the core's, byte for byte.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final

import fastavro

from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.tools.proof.audit.model import Derived, MatcherModel, RiskModel
from services.wire.codec import HEADER_BYTES, Decoded, local_codec
from services.wire.messages import Message, Payload
from services.wire.schemas import newest_schema
from services.wire.topics import TRADING

type Input = tuple[int, str, dict[str, Any]]
"""What a model takes: offset, name of the record, its fields."""

CODEC: Final = local_codec()
SCHEMAS: Final = {
    (topic.name, record): fastavro.parse_schema(newest_schema(topic.name, record).schema)
    for topic in TRADING
    for record in topic.records
}


def as_input(topic: str, offset: int, decoded: Decoded[Any]) -> Input:
    """A message as the model finds it in the log."""
    assert decoded.origin is not None
    value = CODEC.encode(topic, decoded.origin, decoded.payload)
    record = type(decoded.payload).__name__
    fields = fastavro.schemaless_reader(BytesIO(value[HEADER_BYTES:]), SCHEMAS[topic, record], None)
    assert isinstance(fields, dict)
    return offset, record, fields


def encode_derived(derived: Iterable[Derived]) -> list[tuple[str, int, str, bytes]]:
    """What a model says, as it would stand in the log, without the header."""
    said = []
    for one in derived:
        out = BytesIO()
        schema = SCHEMAS[one.topic, one.record]
        fastavro.schemaless_writer(out, schema, one.fields, strict=True)
        said.append((one.topic, one.partition, one.key, out.getvalue()))
    return said


def encode_said(messages: Iterable[Message]) -> list[tuple[str, int, str, bytes]]:
    """What a core says, likewise."""
    return [
        (m.topic, m.partition, m.key, CODEC.encode(m.topic, m.origin, m.payload)[HEADER_BYTES:])
        for m in messages
    ]


class Beside:
    """Both implementations of one partition of `accounts` or `matching`."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.core = RiskCore(partition) if topic == "accounts" else MatcherCore(partition)
        self.model = RiskModel(partition) if topic == "accounts" else MatcherModel(partition)

    def take(self, offset: int, decoded: Decoded[Any]) -> None:
        """Both take one message, and must say the same."""
        said = encode_said(self.core.handle(offset, decoded))
        derived = encode_derived(self.model.take(*as_input(self.topic, offset, decoded)))
        assert derived == said, f"{self.topic} at {offset}: {decoded}"

    def check_states(self) -> None:
        """Both have the same state, and stand on the same genesis."""
        assert self.model.state() == self.core.dump()
        assert self.model.genesis_hash() == self.core.genesis_hash()

    def check_depth(self) -> None:
        """Both show the same book, if a batch ended here; the core shows a change alone."""
        assert isinstance(self.core, MatcherCore)
        assert isinstance(self.model, MatcherModel)
        for shown in encode_said(self.core.at_batch_end()):
            fields = self.model.depth_record()
            assert fields is not None
            derived = Derived("book", shown[1], fields["ticker"], "BookDepth", fields)
            assert encode_derived([derived]) == [shown]

    def check_end(self) -> None:
        """The end of the log: equal states, and not one fault."""
        self.check_states()
        self.model.finish()
        assert self.model.faults == []


def first_difference(
    topic: str, partition: int, inputs: Iterable[tuple[int, Decoded[Any], list[Message]]]
) -> int:
    """The offset at which what was said is not what the model derives; -1: nowhere."""
    model = RiskModel(partition) if topic == "accounts" else MatcherModel(partition)
    for offset, decoded, said in inputs:
        derived = encode_derived(model.take(*as_input(topic, offset, decoded)))
        if derived != encode_said(said):
            return offset
    return -1


def decoded(message: Message) -> Decoded[Payload]:
    """A message that a room wrote, as the next one reads it."""
    return Decoded(message.origin, message.payload, message.origin.event_time_us)
