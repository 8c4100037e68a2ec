"""Kafka's own perf tools on the broker that everything here is compared on: the log's limit."""

import re
import subprocess
from itertools import pairwise
from typing import Final

import msgspec
from confluent_kafka.admin import AdminClient, NewTopic

from services.tools.bench.tries import Spread, spread_of
from services.tools.stack.errors import StackError
from services.tools.stack.kafka_tools import command_line
from services.tools.stack.settings import StackSettings

_TOPIC: Final = "bench-perf"
_TOOL_TIMEOUT_S: Final = 300.0
_QUICK: Final = "-XX:TieredStopAtLevel=1"
_SENT: Final = re.compile(r"([\d.,]+) records/sec.*?([\d.,]+) ms 99th", re.DOTALL)
"""In the last line of the producer's tool; before it come lines of parts of the run."""
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")


class PerfFigures(msgspec.Struct, frozen=True):
    """Records a second, one client and one partition, acks=all."""

    records: int
    record_bytes: int
    written_per_s: Spread
    written_p99_ms: Spread
    read_per_s: Spread


def measure_perf_tools(
    settings: StackSettings, bootstrap: str, records: int, record_bytes: int, rounds: int
) -> PerfFigures:
    """Run both tools a few rounds on a topic of their own; blocks, and starts Java each time.

    Raises:
        StackError: a tool fails, or says what is not understood.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(_TOPIC, 1, 1)])[_TOPIC].result(10)
    written, late, read = [], [], []
    for _ in range(rounds):
        rate, p99_ms = read_producer(_run(settings, "producer-perf-test", [
            "--topic", _TOPIC, "--num-records", str(records), "--record-size", str(record_bytes),
            "--throughput", "-1", "--producer-props", f"bootstrap.servers={bootstrap}", "acks=all",
        ]))  # fmt: skip
        written.append(rate)
        late.append(p99_ms)
        read.append(read_consumer(_run(settings, "consumer-perf-test", [
            "--topic", _TOPIC, "--messages", str(records), "--timeout", "60000",
            "--bootstrap-server", bootstrap,
        ])))  # fmt: skip
    admin.delete_topics([_TOPIC])[_TOPIC].result(10)
    return PerfFigures(records, record_bytes, spread_of(written), spread_of(late), spread_of(read))


def read_producer(said: str) -> tuple[float, float]:
    """Records a second and the 99th percentile in ms, from the last line of the producer's tool.

    Raises:
        StackError: there is no such line.
    """
    for line in reversed(said.splitlines()):
        found = _SENT.search(line)
        if found is not None:
            return float(found[1]), float(found[2])
    raise StackError(f"the producer's tool said no rate: {said[-400:]}")


def read_consumer(said: str) -> float:
    """Records a second, from the consumer's tool: a line of headings, and one of values.

    Raises:
        StackError: there is no such table.
    """
    lines = [[cell.strip() for cell in line.split(",")] for line in said.splitlines()]
    for heads, values in pairwise(lines):
        if "nMsg.sec" in heads and len(values) == len(heads):
            value = values[heads.index("nMsg.sec")]
            if _NUMBER.fullmatch(value):
                return float(value)
    raise StackError(f"the consumer's tool said no rate: {said[-400:]}")


def _run(settings: StackSettings, tool: str, arguments: list[str]) -> str:
    # The tools of every day run for a moment and are compiled quickly; these are measured.
    command = [word for word in command_line(settings, tool, arguments) if word != _QUICK]
    done = subprocess.run(
        command,
        capture_output=True, text=True, check=False, timeout=_TOOL_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        raise StackError(f"{tool} failed ({done.returncode}): {done.stderr[-400:]}")
    return done.stdout
