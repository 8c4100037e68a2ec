"""Transactions that the broker has forgotten and its partitions have not: found and ended.

A coordinator that closes a transaction without writing its markers, or a record that arrives after
its transaction has ended, leaves every reader of committed data standing still in front of it for
ever (docs/adr/0006). Kafka's own tool finds and aborts such transactions;
the supervisor runs this module beside the broker whenever that has become ready, and when a room
that needs it does not get ready:

    python -m services.tools.stack.hanging OUTCRY_HOME COMPONENTS PORT

Where nothing hangs and committed offsets stay undecided all the same (`stuck_offsets`), it ends
with CHORE_ASKS_RESTART.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import KafkaException

from services.tools.stack.components import CHORE_ASKS_RESTART
from services.tools.stack.kafka_tools import tool_command
from services.tools.stack.settings import HOST
from services.tools.stack.status import run_directory
from services.tools.stack.stuck_offsets import ask_broker, may_restart, stuck_offsets

BROKER_ID: Final = 1
ROUNDS: Final = 2
ROUND_PAUSE_S: Final = 10.0
"""More than the broker's interval: what it forgets at its first look is found at the second."""
TOOL_TIMEOUT_S: Final = 120.0
ABORTED_MAX: Final = 500
"""Of one round. A crash leaves at most what was open: a few dozen."""

type RunTool = Callable[[Sequence[str]], str]
"""Takes the arguments of `kafka-transactions.sh`; returns what it printed."""


class Hanging(NamedTuple):
    """One open end of a transaction that no coordinator knows."""

    topic: str
    partition: int
    start_offset: int


def end_hanging(run_tool: RunTool, say: Callable[[str], None]) -> int:
    """Abort every hanging transaction; returns how many ends there were.

    The tool aborts by the offset at which a transaction began, so one that has ended meanwhile, or
    another one of the same producer, is never touched.
    """
    found = find_hanging(run_tool)[:ABORTED_MAX]
    for hanging in found:
        say(f"aborting {hanging.topic}/{hanging.partition} from offset {hanging.start_offset}")
        run_tool(
            (
                "abort",
                "--topic",
                hanging.topic,
                "--partition",
                str(hanging.partition),
                "--start-offset",
                str(hanging.start_offset),
            )
        )
    return len(found)


def find_hanging(run_tool: RunTool) -> list[Hanging]:
    """What the tool lists, however long it has been open."""
    told = run_tool(
        ("find-hanging", "--broker-id", str(BROKER_ID), "--max-transaction-timeout", "0")
    )
    lines = [line.split() for line in told.splitlines()]
    begin = next((number for number, words in enumerate(lines) if words[:1] == ["Topic"]), None)
    if begin is None:
        return []
    places = {name: column for column, name in enumerate(lines[begin])}
    return [
        Hanging(
            words[places["Topic"]],
            int(words[places["Partition"]]),
            int(words[places["StartOffset"]]),
        )
        for words in lines[begin + 1 :]
        if len(words) > places["StartOffset"]
    ]


def main(arguments: list[str]) -> int:
    """Look now and once more; 1 if the tool failed, which the log then says.

    CHORE_ASKS_RESTART if the broker must start again for offsets to be decided.
    """
    home, components, port = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    if not any((home / "kafka" / "data").glob("__transaction_state-*")):
        return 0  # nobody has ever opened a transaction

    def run_tool(tool_arguments: Sequence[str]) -> str:
        command = tool_command(components, port, "transactions", tool_arguments)
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False
        )
        if ended.returncode:
            raise RuntimeError(" ".join((ended.stderr or ended.stdout).split())[-300:])
        return ended.stdout

    code = 0
    for number in range(ROUNDS):
        time.sleep(ROUND_PAUSE_S if number else 0)
        try:
            ended = end_hanging(run_tool, _say)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            _say(f"looking for hanging transactions: {error}")
            code = 1
            continue
        _say(f"{ended} hanging transactions ended")
        code = 0
    return code or _look_for_stuck_offsets(home, f"{HOST}:{port}")


def _look_for_stuck_offsets(home: Path, bootstrap: str) -> int:
    try:
        stuck = stuck_offsets(ask_broker(bootstrap))
    except KafkaException as error:
        _say(f"looking for undecided offsets: {error}")
        return 1
    for group, topic, partition in sorted(stuck):
        _say(f"the offset of {group} in {topic}/{partition} stays undecided, and nothing hangs")
    if not stuck:
        return 0
    if may_restart(run_directory(home) / "kafka.restarted-for-offsets"):
        _say("the broker must start again to load them anew")
        return CHORE_ASKS_RESTART
    _say("the broker was started again for this before; not again so soon")
    return 1


def _say(line: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    sys.stdout.write(f"{stamp} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
