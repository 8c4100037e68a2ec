"""Send one command and wait, bounded, for what the exchange says to it."""

import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import uuid4

import msgspec

from services.domain.events import DeadLetter
from services.runtime.ports import TopicPartition
from services.tools.operate.errors import NoAnswerError, RefusedError
from services.tools.operate.exchange import Exchange, Published, Seen
from services.wire.messages import Payload
from services.wire.topics import ORDERS_DLQ, ORIGIN_NUMBERS

TIMEOUT_S: Final = 10.0
"""How long a command waits for its answer unless told otherwise."""

_AFTERMATH_S: Final = 0.2
"""What follows at once (fills after NEW) is waited for this long after the last record."""


class Question(msgspec.Struct, frozen=True):
    """A command, and how to know its answer."""

    topic: str
    """`orders` or `controls`."""
    partition: int
    key: str
    payload: Payload
    command_id: str
    answers_in: tuple[TopicPartition, ...]
    is_answer: Callable[[Seen], bool]
    is_complete: Callable[[Sequence[Seen]], bool] = bool
    """Whether nothing worth waiting for follows these answers."""


def make_command_id() -> str:
    """An id for a command whose sender named none."""
    return f"cli-{uuid4().hex[:20]}"


def ask(exchange: Exchange, question: Question, timeout_s: float = TIMEOUT_S) -> list[Seen]:
    """Publish it and return what answers it, in order of arrival; at least one.

    Asking again with the same command id is safe: the exchange does nothing twice.

    Raises:
        RefusedError: it became a dead letter.
        NoAnswerError: no answer in time.
        UnreachableError: Kafka can't be reached.
    """
    letters = TopicPartition(ORDERS_DLQ.name, question.partition)
    watch = exchange.watch((*question.answers_in, letters))
    try:
        published = exchange.publish(
            question.topic, question.partition, question.key, question.payload
        )
        give_up_at_s = time.monotonic() + timeout_s
        answers: list[Seen] = []
        while (left_s := give_up_at_s - time.monotonic()) > 0:
            seen = watch.poll(min(left_s, _AFTERMATH_S))
            refuse_dead_letter(published, seen)
            found = [record for record in seen if question.is_answer(record)]
            answers += found
            if found:
                give_up_at_s = min(give_up_at_s, time.monotonic() + _AFTERMATH_S)
            if question.is_complete(answers):
                break
    finally:
        watch.close()
    if not answers:
        raise NoAnswerError(
            f"no answer to {published} within {timeout_s:g} s: see `outcry status`, then ask again "
            f"with --client-command-id {question.command_id}, which does nothing twice"
        )
    return answers


def refuse_dead_letter(published: Published, seen: Sequence[Seen]) -> None:
    """Raise RefusedError if what was published is among these as a dead letter."""
    number = ORIGIN_NUMBERS[published.topic]
    for record in seen:
        letter, origin = record.decoded.payload, record.decoded.origin
        if not isinstance(letter, DeadLetter) or origin is None:
            continue
        if (origin.topic, origin.partition, origin.offset) == (
            number,
            published.partition,
            published.offset,
        ):
            raise RefusedError(letter.cause, letter.detail)
