"""The supervisor over the real Kafka, registry and PostgreSQL.

One stack of its own runs through these tests in the order in which they stand, since starting one
takes seconds. The session's stack is the other one beside it.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from services.runtime.registry import Registry
from services.tools.stack.errors import AlreadyRunningError, PortTakenError
from services.tools.stack.identity import ProcessIdentity, is_alive
from services.tools.stack.plan import stack_plan
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import Stack
from services.tools.stack.status import ComponentStatus, State, memory_mb
from tests.support.stack_fixture import COMPONENTS, StackInfra, reserved_port_base
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

_TOPIC = "kept"
_SCHEMA = {"type": "record", "name": "Kept", "fields": [{"name": "x", "type": "int"}]}


@pytest.fixture(scope="module")
def own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackSettings]:
    with reserved_port_base() as base:
        yield StackSettings(
            home=tmp_path_factory.mktemp("own") / "home",
            port_base=base,
            components=COMPONENTS,
            pg_dsn=None,
            topic_prefix="",
        )


@pytest.fixture(scope="module")
def own(own_settings: StackSettings) -> Iterator[Stack]:
    stack = Stack(stack_plan(own_settings, ()))
    stack.start()
    yield stack
    stack.stop()


def _row(stack: Stack, name: str) -> ComponentStatus:
    status = stack.status()
    assert status is not None
    return status.row(name)


def _processes(stack: Stack) -> list[ProcessIdentity]:
    status = stack.status()
    assert status is not None
    return [row.process for row in status.components if row.process is not None]


def _is_gone(process: ProcessIdentity) -> bool:
    return not is_alive(process)


def _produce(stack: Stack, value: str) -> None:
    producer = Producer({"bootstrap.servers": stack.addresses.kafka_bootstrap, "acks": "all"})
    producer.produce(_TOPIC, value)
    assert producer.flush(30) == 0


def _consume_all(stack: Stack) -> list[str]:
    consumer = Consumer(
        {
            "bootstrap.servers": stack.addresses.kafka_bootstrap,
            "group.id": f"test-{uuid.uuid4()}",
            "enable.auto.commit": False,
        }
    )
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(_TOPIC, 0), timeout=30)
        consumer.assign([TopicPartition(_TOPIC, 0, 0)])
        records = consumer.consume(end, timeout=30)
        return [str(record.value() or b"", "utf-8") for record in records]
    finally:
        consumer.close()


def test_everything_is_up_and_shows_what_it_uses(own: Stack) -> None:
    status = own.status()
    assert status is not None
    assert status.is_up
    assert status.row("prepare").state is State.DONE
    for name in ("kafka", "registry", "postgres"):
        row = status.row(name)
        assert row.port is not None
        assert (memory_mb(row) or 0) > 1
        assert (own.plan.home_path / "logs" / f"{name}.log").stat().st_size > 0


def test_two_stacks_side_by_side_share_nothing(own: Stack, stack_infra: StackInfra) -> None:
    admin = AdminClient({"bootstrap.servers": own.addresses.kafka_bootstrap})
    admin.create_topics([NewTopic(_TOPIC, 1)])[_TOPIC].result(30)
    other = AdminClient({"bootstrap.servers": stack_infra.addresses.kafka_bootstrap})
    # The controller has answered; on a busy machine the broker knows it only later.
    wait_until(lambda: _TOPIC in admin.list_topics(timeout=30).topics, "the topic to be there")
    assert _TOPIC not in other.list_topics(timeout=30).topics
    with psycopg.connect(own.addresses.pg_dsn) as connection:
        connection.execute("CREATE TABLE kept (x int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    with psycopg.connect(stack_infra.addresses.pg_dsn) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    assert Registry(own.addresses.registry_url).register("kept-Kept", _SCHEMA) > 0
    assert Registry(stack_infra.addresses.registry_url).versions("kept-Kept") == []


def test_a_broker_that_is_killed_comes_back_with_its_data(own: Stack) -> None:
    _produce(own, "before the kill")
    before = _row(own, "kafka").process
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(before), "the broker to die")
    wait_until(
        lambda: _row(own, "kafka").restarts == 1 and _row(own, "kafka").state is State.UP,
        "the broker to be back",
        timeout_s=90,
    )
    _produce(own, "after the kill")
    assert _consume_all(own) == ["before the kill", "after the kill"]


def test_a_second_start_of_the_same_home_is_refused(own: Stack) -> None:
    status = own.status()
    assert status is not None
    with pytest.raises(AlreadyRunningError, match=f"pid {status.supervisor.pid}"):
        Stack(own.plan).start()
    assert own.status() is not None, "the refusal left the first alone"


def test_a_stack_on_taken_ports_is_refused_by_name(
    own: Stack, own_settings: StackSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("rival")
    assert own.status() is not None
    rival = Stack(stack_plan(own_settings.model_copy(update={"home": home}), ()))
    with pytest.raises(PortTakenError, match=rf"port {own_settings.port('kafka')} \(kafka\)"):
        rival.start()
    assert rival.status() is None


def test_a_supervisor_that_is_killed_leaves_no_orphan_and_no_lock(own: Stack) -> None:
    status = own.status()
    assert status is not None
    children = _processes(own)
    assert len(children) == 3
    os.kill(status.supervisor.pid, signal.SIGKILL)
    for child in children:
        wait_until(partial(_is_gone, child), "a child to die")
    own.stop()
    assert own.status() is None
    again = own.start()
    assert again.is_up


def test_the_data_outlives_kills_and_stops(own: Stack) -> None:
    assert own.stop()
    assert not own.stop(), "stopping twice is stopping once"
    assert own.start().is_up
    assert _consume_all(own) == ["before the kill", "after the kill"]
    with psycopg.connect(own.addresses.pg_dsn) as connection:
        assert connection.execute("SELECT x FROM kept").fetchall() == [(1,)]
    assert Registry(own.addresses.registry_url).versions("kept-Kept") == [1]
