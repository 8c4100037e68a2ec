"""Processes on real Kafka, killed while they work: each input once."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.runtime.ports import TopicPartition
from tests.support.log_worlds import KafkaWorld, read_range
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

PARTITIONS = 2
COUNT = 6_000

pytestmark = pytest.mark.kafka


class Sums:
    """The input, the processes that sum it, and what they said."""

    def __init__(self, bootstrap: str, logs: Path) -> None:
        self.world = KafkaWorld(bootstrap)
        self.world.topic("in", PARTITIONS)
        self.world.topic("out", PARTITIONS)
        self.world.topic("view", PARTITIONS)
        self._bootstrap = bootstrap
        self._logs = logs
        self._processes: list[subprocess.Popen[bytes]] = []
        self.reader = self.world.reader()

    def start(self, instance: str = "0") -> subprocess.Popen[bytes]:
        with (self._logs / f"{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "tests.support.sum_room",
                    self._bootstrap, self.world.prefix, instance,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def feed(self, count: int) -> None:
        for partition in range(PARTITIONS):
            self.world.append("in", [b"%d" % n for n in range(count)], partition)

    def said(self, partition: int) -> list[bytes | None]:
        at = TopicPartition("out", partition)
        start, end = self.reader.bounds(at)
        return [record.value for record in read_range(self.reader, at, start, end)]

    def wait(self, count: int) -> None:
        wait_until(
            lambda: all(len(self.said(p)) >= count for p in range(PARTITIONS)),
            f"{count} sums a partition",
            timeout_s=90,
        )

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.world.close()


@pytest.fixture
def sums(stack_infra: StackInfra, tmp_path: Path) -> Iterator[Sums]:
    made = Sums(stack_infra.addresses.kafka_bootstrap, tmp_path)
    yield made
    made.close()


def expected(count: int) -> list[bytes]:
    total, said = 0, []
    for number in range(count):
        total += number
        said.append(b"%d:%d" % (number, total))
    return said


def test_a_process_killed_again_and_again_says_each_sum_once(sums: Sums) -> None:
    chance = random.Random(3)
    sums.feed(COUNT)
    for _ in range(4):
        before = len(sums.said(0)) + len(sums.said(1))
        process = sums.start()
        wait_until(lambda: len(sums.said(0)) + len(sums.said(1)) > before, "work", timeout_s=60)  # noqa: B023
        time.sleep(chance.random() * 0.3)
        process.kill()
        process.wait()
    sums.start()
    sums.wait(COUNT)
    assert [sums.said(partition) for partition in range(PARTITIONS)] == [expected(COUNT)] * 2


def test_another_instance_takes_over_while_the_first_is_frozen_and_when_it_wakes(
    sums: Sums,
) -> None:
    first = sums.start("0")
    sums.feed(10)
    sums.wait(10)
    first.send_signal(signal.SIGSTOP)
    second = sums.start("1")
    sums.world.append("in", [b"%d" % n for n in range(10, 20)], 0)
    sums.world.append("in", [b"%d" % n for n in range(10, 20)], 1)
    sums.wait(20)
    first.send_signal(signal.SIGCONT)
    sums.world.append("in", [b"%d" % n for n in range(20, 30)], 0)
    sums.world.append("in", [b"%d" % n for n in range(20, 30)], 1)
    sums.wait(30)
    assert [sums.said(partition) for partition in range(PARTITIONS)] == [expected(30)] * 2
    assert first.poll() is second.poll() is None


def test_a_stop_is_clean_and_soon(sums: Sums) -> None:
    process = sums.start()
    sums.feed(100)
    sums.wait(100)
    process.terminate()
    assert process.wait(timeout=30) == 0
    for partition in range(PARTITIONS):
        first, stable = sums.reader.bounds(TopicPartition("out", partition))
        assert (first, stable) == (0, sums.world.end_offset("out", partition))
