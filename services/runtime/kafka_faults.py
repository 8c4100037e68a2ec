"""What a Kafka error asks of the loop: the one place that reads librdkafka's error codes."""

from typing import Final, cast

from confluent_kafka import KafkaError, KafkaException

from services.runtime.errors import (
    ConfigurationError,
    FencedError,
    HistoryLostError,
    OperatingError,
    RestoreNeededError,
    RetriableError,
)

_FENCED: Final = frozenset(
    {
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._FENCED,  # noqa: SLF001 - public constant: librdkafka's own codes begin so
        # A consumer's poll says only that there was a fatal error. Consumers know one kind:
        # another process took the instance's name.
        KafkaError._FATAL,  # noqa: SLF001 - (same)
    }
)
_LOG_ENDED: Final = frozenset(
    {
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - (same)
    }
)
_REFUSED: Final = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - (same)
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - (same)
    }
)
TIMED_OUT: Final = KafkaError._TIMED_OUT  # noqa: SLF001 - (same)
PARTITION_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - (same)
_MAX_POLL_EXCEEDED: Final = KafkaError._MAX_POLL_EXCEEDED  # noqa: SLF001 - (same)


def error_of(exception: KafkaException) -> KafkaError:
    """The error an exception carries."""
    return cast("KafkaError", exception.args[0])


def read_fault(error: KafkaError, doing: str) -> OperatingError:
    """What to raise for an error of a consumer."""
    text = f"{doing}: {error.str()} ({error.name()})"
    if error.code() in _LOG_ENDED:
        return HistoryLostError(
            f"{text}; records were deleted before they were read: if that is accepted, move the"
            " group's offsets with kafka-consumer-groups.sh --reset-offsets"
        )
    if error.code() in _FENCED:
        return FencedError(f"{text}; join again")
    if error.code() in _REFUSED:
        return ConfigurationError(f"{text}; see the broker's log")
    if error.fatal() or error.code() == _MAX_POLL_EXCEEDED:
        return RestoreNeededError(f"{text}; join again")
    return RetriableError(f"{text}; try again")


def write_fault(error: KafkaError, doing: str) -> OperatingError:
    """What to raise for an error of a transactional producer that is not worth another try."""
    text = f"{doing}: {error.str()} ({error.name()})"
    if error.code() in _FENCED:
        return FencedError(f"{text}; restore and join again")
    if error.code() in _REFUSED:
        return ConfigurationError(f"{text}; see the broker's log and the topic's configuration")
    return RestoreNeededError(f"{text}; restore from the committed offset")
