"""What a model says: the messages that must follow, and the promises that were broken."""

from typing import Any, Final, NamedTuple

FAULTS_MAX: Final = 100
"""Most faults a model keeps; a log that breaks one promise tends to break it again."""

# The checks a fault can name.
SOURCE_ORDER: Final = "SOURCE_ORDER"
"""A source position that does not rise: a message came twice, or out of order."""
SEQUENCE: Final = "SEQUENCE"
"""A hole or a repetition in what one writer sent to one partition."""
UNKNOWN_RECORD: Final = "UNKNOWN_RECORD"
"""A record that does not belong into this topic."""
MALFORMED: Final = "MALFORMED"
"""Fields that no fold can act on; nothing after it is derived."""
UNKNOWN_ORDER: Final = "UNKNOWN_ORDER"
"""The matcher speaks of an order that is not live."""
IMPOSSIBLE_EVENT: Final = "IMPOSSIBLE_EVENT"
"""The matcher says of a live order what can't have happened to it."""
CAPS: Final = "CAPS"
"""An acceptance above a limit that raised shares or money at worst."""
SHORT: Final = "SHORT"
"""A negative position, or an acceptance that could lead to one, where short is not allowed."""
RESERVATION: Final = "RESERVATION"
"""What is reserved is not the sum over the orders that are open."""
POSITION: Final = "POSITION"
"""A position that is not deposits plus bought minus sold."""
CONSERVATION: Final = "CONSERVATION"
"""Orders or shares that came from nowhere or went nowhere."""
PRIORITY: Final = "PRIORITY"
"""A trade with another order than the oldest at the best price."""
CROSSED: Final = "CROSSED"
"""A bid at or above an ask, both resting."""
DEPTH: Final = "DEPTH"
"""A price level whose shares are not the sum over its orders."""


class Derived:
    """One message that must stand in a topic, ready for Avro's writer."""

    __slots__ = ("fields", "key", "partition", "record", "topic")

    def __init__(
        self, topic: str, partition: int, key: str, record: str, fields: dict[str, Any]
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.key = key
        self.record = record
        self.fields = fields
        """As the newest schema has them, `origin` among them."""


class Fault(NamedTuple):
    """One broken promise, at the record that broke it."""

    check: str
    topic: str
    partition: int
    offset: int
    what: str


class Witness:
    """Collects the faults of one partition. It knows at which record the model is."""

    __slots__ = ("faults", "offset", "partition", "suppressed", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = -1
        self.faults: list[Fault] = []
        self.suppressed = 0
        """Faults beyond the most that are kept."""

    def report(self, check: str, what: str) -> None:
        """Note a fault at the present record."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(check, self.topic, self.partition, self.offset, what))
        else:
            self.suppressed += 1
