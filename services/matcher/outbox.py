"""What one input causes, each message with its origin: the input, its place, its sequence."""

from typing import Final

from services.domain import origin
from services.domain.lineage import Departures
from services.domain.origin import Origin
from services.wire import topics
from services.wire.messages import Message, Payload
from services.wire.partition import account_partition

_ACCOUNTS: Final = topics.ACCOUNTS.name


class Outbox:
    """The messages of one input at a time, in order. Of it only `departures` is state."""

    __slots__ = (
        "_event_time_us",
        "_offset",
        "_partition",
        "account_partitions",
        "departures",
        "messages",
        "time_us",
    )

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._offset = -1
        self._event_time_us = 0
        self.account_partitions = topics.ACCOUNT_PARTITIONS
        self.departures = Departures()
        self.messages: list[Message] = []
        self.time_us = 0
        """What the messages are stamped with."""

    def open(self, offset: int, time_us: int, event_time_us: int) -> None:
        """Begin the messages of a new input."""
        self._offset = offset
        self._event_time_us = event_time_us
        self.time_us = time_us
        self.messages = []

    def send(self, topic: str, partition: int, key: str, payload: Payload) -> None:
        """Put one message after those that are there."""
        messages = self.messages
        cause = Origin(
            origin.MATCHING,
            self._partition,
            self._offset,
            len(messages),
            self.departures.next(topic, partition),
            self.time_us,
            self._event_time_us,
        )
        messages.append(Message(topic, partition, key, cause, payload))

    def tell(self, account: str, payload: Payload) -> None:
        """Put one message to an account's partition."""
        partition = account_partition(account, self.account_partitions)
        self.send(_ACCOUNTS, partition, account, payload)

    def tell_all(self, ticker: str, payload: Payload) -> None:
        """Put one message to every account partition."""
        for partition in range(self.account_partitions):
            self.send(_ACCOUNTS, partition, ticker, payload)

    def show(self, topic: str, ticker: str, payload: Payload) -> Message:
        """A view after the last input: it follows that input's messages, without a sequence."""
        cause = Origin(
            origin.MATCHING,
            self._partition,
            self._offset,
            len(self.messages),
            0,
            self.time_us,
            self._event_time_us,
        )
        return Message(topic, self._partition, ticker, cause, payload)
