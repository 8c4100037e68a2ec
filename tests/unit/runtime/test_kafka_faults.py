"""What each Kafka error asks of the loop."""

import pytest
from confluent_kafka import KafkaError

from services.runtime.errors import (
    ConfigurationError,
    FencedError,
    HistoryLostError,
    OperatingError,
    RestoreNeededError,
    RetriableError,
)
from services.runtime.kafka import parse_group_metadata
from services.runtime.kafka_faults import read_fault, write_fault


@pytest.mark.parametrize(
    "code,kind",
    [
        (KafkaError._TRANSPORT, RetriableError),
        (KafkaError._ALL_BROKERS_DOWN, RetriableError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, RetriableError),
        (KafkaError._AUTO_OFFSET_RESET, HistoryLostError),
        (KafkaError.OFFSET_OUT_OF_RANGE, HistoryLostError),
        (KafkaError.FENCED_INSTANCE_ID, FencedError),
        (KafkaError._FATAL, FencedError),
        (KafkaError._MAX_POLL_EXCEEDED, RestoreNeededError),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, ConfigurationError),
    ],
)
def test_errors_of_reading(code: int, kind: type[OperatingError]) -> None:
    fault = read_fault(KafkaError(code), "reading")
    assert type(fault) is kind
    assert str(fault).startswith("reading: ")


@pytest.mark.parametrize(
    "code,kind",
    [
        (KafkaError._TIMED_OUT, RestoreNeededError),
        (KafkaError._STATE, RestoreNeededError),
        (KafkaError.INVALID_TXN_STATE, RestoreNeededError),
        (KafkaError.PRODUCER_FENCED, FencedError),
        (KafkaError.INVALID_PRODUCER_EPOCH, FencedError),
        (KafkaError._FENCED, FencedError),
        (KafkaError.ILLEGAL_GENERATION, FencedError),
        (KafkaError.UNKNOWN_MEMBER_ID, FencedError),
        (KafkaError.MSG_SIZE_TOO_LARGE, ConfigurationError),
        (KafkaError._UNKNOWN_PARTITION, ConfigurationError),
        (KafkaError.INVALID_TRANSACTION_TIMEOUT, ConfigurationError),
    ],
)
def test_errors_of_writing(code: int, kind: type[OperatingError]) -> None:
    fault = write_fault(KafkaError(code), "committing")
    assert type(fault) is kind
    assert str(fault).startswith("committing: ")


def test_a_fatal_error_of_reading_is_never_tried_again() -> None:
    fault = read_fault(KafkaError(KafkaError._TRANSPORT, "gone", fatal=True), "reading")
    assert type(fault) is RestoreNeededError


def test_group_metadata_says_generation_and_member() -> None:
    metadata = b"CGMDv2:" + (7).to_bytes(4, "little") + b"group\0member-1\0instance\0"
    assert parse_group_metadata(metadata) == (7, "member-1")


def test_metadata_of_a_consumer_that_has_not_joined_says_so() -> None:
    metadata = b"CGMDv2:" + (-1).to_bytes(4, "little", signed=True) + b"group\0\0\0"
    assert parse_group_metadata(metadata) == (-1, "")


def test_metadata_of_another_form_breaks_an_invariant() -> None:
    with pytest.raises(AssertionError, match="CGMDv3"):
        parse_group_metadata(b"CGMDv3:\0\0\0\0")
