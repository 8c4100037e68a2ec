"""A core behind the codec: what is decoded, passed over and encoded."""

from typing import Any

import pytest

from services.domain.commands import CancelAll
from services.domain.origin import ACCOUNTS, Origin
from services.runtime.fold import CodedFolds, coded, encode_messages
from services.runtime.ports import NO_MIGRATIONS, Fold, Record, TopicPartition
from services.wire.codec import Codec, Decoded, UndecodableError, local_codec
from services.wire.messages import Message

ORIGIN = Origin(ACCOUNTS, 0, 7, 0, 1, 1_000, 0)
PAYLOAD = CancelAll("alice", "c1", "")


class Echo:
    """Sends back what it gets; its view is the number of messages it got."""

    def __init__(self, handled: int = 0) -> None:
        self.handled = handled

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]:
        assert offset == 7
        self.handled += 1
        return [Message("accounts", 1, "alice", ORIGIN, decoded.payload)]

    def at_batch_end(self) -> list[Message]:
        return [Message("accounts", 2, "", ORIGIN, PAYLOAD)]

    def dump(self) -> bytes:
        return str(self.handled).encode()

    def genesis_hash(self) -> str:
        return "abc"


class Echoes:
    format_version = 3
    migrations = NO_MIGRATIONS
    stateful = True

    def fresh(self, partition: int) -> Echo:
        assert partition == 5
        return Echo()

    def load(self, partition: int, state: bytes) -> Echo:
        assert partition == 5
        return Echo(int(state))


PLACE = TopicPartition("accounts", 5)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return local_codec()


@pytest.fixture
def passed_over() -> list[tuple[Record, str]]:
    return []


@pytest.fixture
def folds(codec: Codec, passed_over: list[tuple[Record, str]]) -> CodedFolds:
    def report(record: Record, error: UndecodableError) -> None:
        passed_over.append((record, error.cause))

    made = coded(Echoes())(codec, report)
    assert isinstance(made, CodedFolds)
    return made


def record(value: bytes | None) -> Record:
    return Record("accounts", 5, 7, 0, None, value)


def test_a_message_is_decoded_folded_and_encoded(codec: Codec, folds: CodedFolds) -> None:
    value = codec.encode("accounts", ORIGIN, PAYLOAD)
    (said,) = folds.fresh(PLACE).handle(record(value))
    assert (said.topic, said.partition, said.key, said.value) == ("accounts", 1, b"alice", value)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\0\0\0\0\1", b"\0\377\377\377\377junk"])
def test_junk_is_passed_over_and_reported(
    folds: CodedFolds, passed_over: list[tuple[Record, str]], value: bytes | None
) -> None:
    fold = folds.fresh(PLACE)
    assert fold.handle(record(value)) == ()
    assert [found for found, _ in passed_over] == [record(value)]
    assert fold.dump() == b"0"


def test_views_are_encoded_and_an_empty_key_is_none(folds: CodedFolds) -> None:
    (view,) = folds.fresh(PLACE).at_batch_end()
    assert (view.partition, view.key) == (2, None)


def test_state_genesis_and_format_are_the_cores(folds: CodedFolds) -> None:
    fold: Fold = folds.load(PLACE, b"41")
    assert (fold.dump(), fold.genesis_hash()) == (b"41", "abc")
    assert (folds.format_version, folds.stateful) == (3, True)


def test_encoded_messages_decode_to_what_they_were(codec: Codec) -> None:
    (said,) = encode_messages(codec, [Message("accounts", 1, "alice", ORIGIN, PAYLOAD)])
    assert codec.decode("accounts", said.value) == Decoded(ORIGIN, PAYLOAD, 0)
