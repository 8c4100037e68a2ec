"""Where a message came from: the provenance every internal message carries."""

import msgspec

# The topics an origin can name, as numbers for ever. The names live in wire/topics.py.
ORDERS = 0
CONTROLS = 1
ACCOUNTS = 2
MATCHING = 3
TRADES = 4
FEATURES = 5
NOWHERE = -1
"""No record caused the message: somebody asked over HTTP. Partition and offset are -1 too."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The input record that caused a message, and the message's place among its siblings.

    Within one source partition, (offset, index) rises strictly for each reader. `sequence` counts
    the messages a stateful writer sent from its partition to this destination partition of this
    topic, from 1 without gaps, so that a hole in the log shows although Kafka's own offsets have
    gaps; the stateless ingest writes 0.
    """

    topic: int
    """Number of the source topic (ORDERS, CONTROLS, ACCOUNTS, MATCHING, TRADES, FEATURES); or
    NOWHERE."""
    partition: int
    offset: int
    index: int
    """Which output of that input this is, from 0."""
    sequence: int
    time_us: int
    """Log time of the command that caused this, microseconds since the epoch."""
    event_time_us: int
    """The command's own event time, microseconds since the epoch; 0 when it states none."""
