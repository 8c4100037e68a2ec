"""What one input causes, each message with its origin: the input, its place, its sequence."""

from typing import Final

from services.domain.lineage import Departures
from services.domain.origin import ACCOUNTS, Origin
from services.wire.messages import Message, Payload
from services.wire.topics import EXECUTIONS, MATCHING

_EXECUTIONS: Final = EXECUTIONS.name
_MATCHING: Final = MATCHING.name


class Outbox:
    """The messages of one input at a time, in order. Of it only `departures` is state.

    What goes to `matching` carries the times of the command that caused it, unchanged; what is
    said in `executions` carries this partition's own time.
    """

    __slots__ = ("_cause", "_partition", "_said_us", "departures", "messages", "offset")

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._cause = Origin(ACCOUNTS, partition, -1, 0, 0, 0, 0)
        self._said_us = 0
        self.departures = Departures()
        self.messages: list[Message] = []
        self.offset = -1
        """The input's offset in this partition of `accounts`."""

    def open(self, offset: int, cause: Origin, said_us: int) -> None:
        """Begin the messages of a new input."""
        self.offset = offset
        self._cause = cause
        self._said_us = said_us
        self.messages = []

    def forward(self, partition: int, ticker: str, payload: Payload) -> None:
        """Put one message to the matcher of a ticker."""
        messages = self.messages
        cause = self._cause
        sequence = self.departures.next(_MATCHING, partition)
        origin = Origin(
            ACCOUNTS, self._partition, self.offset, len(messages), sequence,
            cause.time_us, cause.event_time_us,
        )  # fmt: skip
        messages.append(Message(_MATCHING, partition, ticker, origin, payload))

    def say(self, account: str, payload: Payload) -> None:
        """Put one message to `executions`; its partitions are those of `accounts`."""
        messages = self.messages
        partition = self._partition
        sequence = self.departures.next(_EXECUTIONS, partition)
        origin = Origin(
            ACCOUNTS, partition, self.offset, len(messages), sequence,
            self._said_us, self._cause.event_time_us,
        )  # fmt: skip
        messages.append(Message(_EXECUTIONS, partition, account, origin, payload))
