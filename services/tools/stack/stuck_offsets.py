"""Committed offsets that a broker holds back for ever, found by asking it.

A broker that is killed and comes back slowly may load a group's offsets twice, and then keep
offsets of transactions that have long ended as undecided, although the log has their markers
(docs/adr/0006). Whoever asks for the group's stable offsets is told to wait, for ever: a room that
was restarted never gets ready. Nothing hangs in the log, so there is nothing to abort; a broker
that starts again loads the offsets as the log has them.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

LOOKS: Final = 40
LOOK_PAUSE_S: Final = 1.0
"""Together more than any transaction may last (10 s) and the broker's look for expired ones (5 s)
take, also on a busy machine. A group at work has its offsets decided at most looks."""
ANSWER_TIMEOUT_S: Final = 10.0
RESTART_PAUSE_S: Final = 600.0
"""Between two restarts for this reason: where one did not help, another one won't soon."""

type Place = tuple[str, str, int]
"""Group, topic, partition."""
type Ask = Callable[[], set[Place]]
"""What is undecided at this moment."""


def stuck_offsets(ask: Ask, pause: Callable[[float], None] = time.sleep) -> set[Place]:
    """The places whose offsets were undecided at every look; empty as soon as there is none."""
    stuck = ask()
    for _ in range(LOOKS - 1):
        if not stuck:
            break
        pause(LOOK_PAUSE_S)
        stuck &= ask()
    return stuck


def ask_broker(bootstrap: str) -> Ask:
    """Asks for every group's offsets with stable isolation.

    Raises (when asked):
        KafkaException: the broker did not answer.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap})

    def ask() -> set[Place]:
        groups = admin.list_consumer_groups(request_timeout=ANSWER_TIMEOUT_S).result()
        return {
            place for group in groups.valid or () for place in _undecided(admin, group.group_id)
        }

    return ask


def _undecided(admin: AdminClient, group: str) -> set[Place]:
    answers = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)],
        require_stable=True,
        request_timeout=ANSWER_TIMEOUT_S,
    )
    try:
        offsets = answers[group].result().topic_partitions
    except KafkaException as error:
        # A group that is loading or moving answers later; it is stuck only if it says so.
        if error.args[0].code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
            return {(group, "", -1)}
        raise
    return {
        (group, place.topic, place.partition)
        for place in offsets or ()
        if place.error is not None and place.error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT
    }


def may_restart(stamp: Path) -> bool:
    """Whether long enough has passed since the last restart for this; notes that one is due."""
    if stamp.exists() and time.time() - stamp.stat().st_mtime < RESTART_PAUSE_S:
        return False
    stamp.touch()
    return True
