"""LOBSTER sessions through the adapter and the matcher's core, without Kafka: rows and FIFO.

The figures are those of a plain book by the same rules, so a change of any of them is a change of
the adapter, the oracle or the matcher.
"""

from collections import Counter
from itertools import islice

import pytest

from services.domain.commands import CancelOrder, PlaceOrder, ReduceOrder
from services.tools.market.lobster import Adapter
from services.tools.market.lobster_files import read_session
from tests.support.lobster_fold import Commands, fold_session
from tests.support.optional import require_lobster

AAPL = "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz"
AMZN = "AMZN_2012-06-21_34200000_57600000_{}_5.csv.gz"


@pytest.mark.parametrize(
    "name,levels,rows,commands,executions,agreed",
    [
        pytest.param(AAPL, 10, 86_616, 131_767, 4_067, 3_507, marks=pytest.mark.long),
        (AAPL, 30, 86_616, 140_625, 4_067, 3_931),
        pytest.param(AMZN, 5, 155_935, 231_489, 8_974, 8_320, marks=pytest.mark.long),
    ],
)
def test_every_row_of_a_whole_session_is_equal_in_all_levels(
    name: str, levels: int, rows: int, commands: int, executions: int, agreed: int
) -> None:
    paths = require_lobster(name.format("message")), require_lobster(name.format("orderbook"))
    findings = fold_session(read_session(*paths, levels), levels)
    assert findings.holds, findings.differences
    assert (findings.rows_equal, findings.rows_checked) == (rows, rows)
    assert findings.commands_folded == commands
    assert (findings.executions, findings.fifo_agreed) == (executions, agreed)


@pytest.mark.parametrize("kind", [PlaceOrder, CancelOrder, ReduceOrder])
def test_one_dropped_command_of_a_real_session_is_found(
    kind: type[PlaceOrder | CancelOrder | ReduceOrder],
) -> None:
    paths = (
        require_lobster(AAPL.format("message")),
        require_lobster(AAPL.format("orderbook")),
    )

    def dropped(commands: Commands) -> Commands:
        at = next(i for i, (c, _) in enumerate(commands) if i > 2_000 and isinstance(c, kind))
        return commands[:at] + commands[at + 1 :]

    findings = fold_session(islice(read_session(*paths, 10), 3_000), 10, dropped)
    assert findings.rows_checked == 3_000
    assert findings.rows_equal < 3_000
    assert not findings.holds


def test_without_its_orderbook_a_real_session_still_replays() -> None:
    adapter = Adapter("AAPL", 0)
    kinds: Counter[type] = Counter()
    for message, row in read_session(require_lobster(AAPL.format("message")), None, 0):
        kinds.update(type(command) for command in adapter.step(message, row).commands)
    assert sum(kinds.values()) == 83_806
    assert adapter.skipped.hidden_executions == 2_201
