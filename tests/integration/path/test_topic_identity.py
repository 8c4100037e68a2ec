"""A topic that was deleted and made again holds another log: each room that reads it refuses."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from services.domain.genesis import default_genesis
from services.runtime.kafka_admin import connect_admin, create_topics
from services.tools.operate.steps import begin
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import PATH_ROOMS, running_path
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PREFIX = "identity."
INPUTS = {
    "ingest": ("orders", "controls"),
    "risk": ("accounts",),
    "matcher": ("matching",),
    "recorder": ("controls", "accounts", "matching", "executions", "trades"),
}
"""What a room keeps a place in; PATH_ROOMS are all that do."""
READS_CONTROLS = ("ingest", "recorder")


@pytest.fixture(scope="module")
def infra(stack_infra: StackInfra) -> StackInfra:
    """A deployment that every room has seen the topics of."""
    assert set(INPUTS) == set(PATH_ROOMS)
    with running_path(stack_infra, PREFIX) as path:
        path.open_account("maker")
    return stack_infra


def make_again(infra: StackInfra, *topics: str) -> None:
    bootstrap = infra.addresses.kafka_bootstrap
    names = [PREFIX + topic for topic in topics]
    admin = connect_admin(bootstrap)
    for future in admin.delete_topics(names).values():
        future.result()
    wait_until(
        lambda: not set(names) & admin.list_topics(timeout=10).topics.keys(), "topics to be gone"
    )
    create_topics(bootstrap, PREFIX)


def last_words(infra: StackInfra, room: str) -> str:
    """Start a room, which must give up; its log."""
    addresses = infra.addresses
    clean = {name: v for name, v in os.environ.items() if not name.startswith("OUTCRY_")}
    environment = clean | {
        "OUTCRY_KAFKA_BOOTSTRAP": addresses.kafka_bootstrap,
        "OUTCRY_REGISTRY_URL": addresses.registry_url,
        "OUTCRY_PG_DSN": addresses.pg_dsn,
        "OUTCRY_TOPIC_PREFIX": PREFIX,
        "OUTCRY_INSTANCE": "0",
    }
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{room}"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_every_room_refuses_a_topic_that_was_made_again_before_it_writes(
    infra: StackInfra,
) -> None:
    make_again(infra, "orders", "accounts", "matching", "executions", "trades")
    with ThreadPoolExecutor(2) as pool:
        said = dict(
            zip(INPUTS, pool.map(lambda room: last_words(infra, room), INPUTS), strict=True)
        )
    for room, words in said.items():
        named = [topic for topic in INPUTS[room] if f"topic {topic} was deleted and made" in words]
        assert named, f"{room}: {words}"
        assert "another OUTCRY_TOPIC_PREFIX" in words, f"{room} does not say what to do"


def test_a_deployment_whose_controls_were_made_again_is_refused(infra: StackInfra) -> None:
    make_again(infra, "controls")
    begin(infra.addresses, PREFIX, default_genesis("identity"))
    with psycopg.connect(infra.addresses.pg_dsn) as connection:
        connection.execute(
            "DELETE FROM outcry.topics WHERE deployment = %s AND topic <> 'controls'", (PREFIX,)
        )
    for room in READS_CONTROLS:
        assert "topic controls was deleted and made again" in last_words(infra, room)
