"""The audit's models over whole logs: a crowd's, and a recorded session in event time."""

from collections import Counter
from itertools import islice

import pytest

from services.domain.genesis import default_genesis
from services.tools.market.genesis import replay_controls, replay_genesis
from services.tools.market.lobster import Adapter
from services.tools.market.lobster_files import read_session
from services.tools.market.population import crowd_controls
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.wire.topics import ACCOUNT_PARTITIONS, ACCOUNTS, MATCHING, ORDERS, TICKER_PARTITIONS
from tests.support.memory_path import MemoryPath
from tests.support.model_beside import Beside, decoded
from tests.support.optional import require_lobster

CROWD_COMMANDS = 20_000
SESSION_ROWS = 6_000
COMMANDS_AHEAD = 100
STATES_EVERY = 997
DEPTHS_EVERY = 50


INBOXES = [
    *((ACCOUNTS.name, partition) for partition in range(ACCOUNT_PARTITIONS)),
    *((MATCHING.name, partition) for partition in range(TICKER_PARTITIONS)),
]


def check_partition(path: MemoryPath, topic: str, partition: int) -> dict[str, int]:
    """Both implementations over one inbox of a path; the model's totals."""
    both = Beside(topic, partition)
    for offset, message in enumerate(path.log[topic, partition]):
        both.take(offset, decoded(message))
        if offset % STATES_EVERY == 0:
            both.check_states()
        if topic == MATCHING.name and offset % DEPTHS_EVERY == 0:
            both.check_depth()
    both.check_end()
    return both.model.totals()


@pytest.fixture(scope="module")
def crowded() -> MemoryPath:
    """20,000 records of a crowd, through all rooms."""
    path = MemoryPath(default_genesis())
    for control in crowd_controls(7):
        path.control(control)
    path.run()
    for outbound in islice(Crowd(7).commands(), CROWD_COMMANDS):
        path.order(encode(path.codec, outbound, 0))
        if outbound.index % COMMANDS_AHEAD == 0:
            path.run()
    path.run()
    return path


@pytest.mark.parametrize("topic,partition", INBOXES)
def test_the_models_say_of_a_crowd_what_the_rooms_said(
    crowded: MemoryPath, topic: str, partition: int
) -> None:
    totals = check_partition(crowded, topic, partition)
    if topic == MATCHING.name:
        assert totals["trades"] > 500
    else:
        assert totals["acceptances_added_up"] > 0.5 * totals["acceptances_checked"] > 500


def test_the_models_say_of_a_recorded_session_what_the_rooms_said() -> None:
    """Event time, one account of all orders, a book without limits."""
    name = "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz"
    paths = require_lobster(name.format("message")), require_lobster(name.format("orderbook"))
    path = MemoryPath(replay_genesis("AAPL", "test"))
    for control in replay_controls("AAPL", 5_853_300):
        path.control(control)
    path.run()
    adapter = Adapter("AAPL", 10)
    for message, row in islice(read_session(*paths, 10), SESSION_ROWS):
        step = adapter.step(message, row)
        for command in step.commands:
            path.order(path.codec.encode_command(ORDERS.name, command, step.time_us))
        if step.row % COMMANDS_AHEAD == 0:
            path.run()
    path.run()
    totals = Counter[str]()
    for topic, partition in INBOXES:
        totals.update(check_partition(path, topic, partition))
    assert totals["trades"] > 200
    assert totals["shares_bought"] == totals["shares_sold"] == totals["shares_traded"]
    assert totals["orders_open"] == totals["orders_resting"] > 10
