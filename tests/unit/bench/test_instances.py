"""`bench instances`: inboxes as the rooms would fill them, drained by as many processes as said."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from services.tools.bench.instances import (
    INBOXES,
    InstancesOrder,
    instances_table,
    make_inboxes,
    run_instances_bench,
)
from services.wire.codec import local_codec
from services.wire.topics import ACCOUNTS, MATCHING, ORDERS

COMMANDS = 400


def test_each_inbox_is_what_the_rooms_before_it_would_write() -> None:
    codec = local_codec()
    inboxes = make_inboxes(codec, 7, COMMANDS)
    assert list(inboxes) == list(INBOXES)
    assert len(inboxes["ingest"]) == COMMANDS
    assert {one.partition for one in inboxes["ingest"]} == set(range(ORDERS.partitions))
    for room, topic in (("risk", ACCOUNTS), ("matcher", MATCHING)):
        assert {one.topic for one in inboxes[room]} == {topic.name}
        assert {one.partition for one in inboxes[room]} == set(range(topic.partitions))
    of_risk = [codec.decode(ACCOUNTS.name, one.value) for one in inboxes["risk"]]
    kinds = Counter(type(one.payload).__name__ for one in of_risk)
    assert kinds["Genesis"] == ACCOUNTS.partitions
    assert kinds["PlaceOrder"] > COMMANDS / 3
    assert kinds["OrderAccepted"] > 0, "the matcher's answers are a part of risk's inbox"
    assert kinds["OrderFilled"] > 0


def test_within_a_partition_each_writer_counts_without_a_gap() -> None:
    """So that a room takes the inbox for its writers' own."""
    codec = local_codec()
    seen: dict[tuple[int, int, int], list[int]] = {}
    for one in make_inboxes(codec, 7, COMMANDS)["risk"]:
        origin = codec.decode(ACCOUNTS.name, one.value).origin
        assert origin is not None
        place = one.partition, origin.topic, origin.partition
        seen.setdefault(place, []).append(origin.sequence)
    from_matcher = [sequences for sequences in seen.values() if sequences[0]]
    assert from_matcher
    assert all(b == a + 1 for sequences in from_matcher for a, b in pairwise(sequences))


@pytest.mark.kafka
@pytest.mark.long
@pytest.mark.timeout(300)
def test_rooms_drain_their_inbox_alone_and_together(tmp_path: Path) -> None:
    said: list[str] = []
    order = InstancesOrder(tmp_path, 7, 1_000, (1, 2), 1)
    rows = run_instances_bench(order, said.append)
    assert [(row.room, row.processes) for row in rows] == [
        (room, count) for room in INBOXES for count in (1, 2)
    ]
    for row in rows:
        assert row.records >= order.commands * 0.9, row
        assert row.room_us.low > 0
        assert row.kafka_us.low > 0
    assert [row.times_of_first.median for row in rows if row.processes == 1] == [1.0] * 3
    console = Console(width=200, record=True)
    console.print(instances_table(rows))
    assert "matcher" in console.export_text()
