"""Second sets of rooms, and who holds a stack: on the session's infrastructure."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from services.client import SigningKey
from services.client.keys import Signer
from services.tools.stack.errors import StackError, StartError
from services.tools.stack.identity import is_alive
from services.tools.stack.settings import PORT_OFFSETS
from services.tools.stack.stack import RoomSet, Stack
from services.tools.stack.status import State, read_live_status
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

_HOLDER = """
import sys, time
import msgspec
from services.tools.stack.plan import Plan
from services.tools.stack.stack import Stack
Stack(msgspec.json.decode(sys.argv[1], type=Plan)).start()
print("up", flush=True)
time.sleep(600)
"""


def test_a_set_of_rooms_uses_the_infrastructure_that_is_there(stack_infra: StackInfra) -> None:
    with RoomSet(stack_infra.settings, "second.", rooms=()) as rooms:
        assert rooms.addresses == stack_infra.addresses
        assert rooms.plan.topic_prefix == "second."
        assert rooms.plan.port_base != stack_infra.settings.port_base
        status = rooms.status()
        assert status is not None
        assert [row.name for row in status.components] == ["prepare"]
        assert status.row("prepare").state is State.DONE
    assert rooms.status() is None
    assert stack_infra.stack.status() is not None


def test_a_set_of_rooms_needs_a_prefix_of_its_own(stack_infra: StackInfra) -> None:
    with pytest.raises(StackError, match="prefix of its own"):
        RoomSet(stack_infra.settings, "", rooms=())


def test_what_cannot_start_says_why_and_shows_its_log(stack_infra: StackInfra) -> None:
    plan = RoomSet(stack_infra.settings, "unlucky.", rooms=()).plan
    nowhere = msgspec.structs.replace(
        plan.addresses, pg_dsn="postgresql://outcry@127.0.0.1:1/outcry"
    )
    stack = Stack(msgspec.structs.replace(plan, addresses=nowhere))
    with pytest.raises(StartError, match=r"prepare ended with 1; its log says more") as failure:
        stack.start()
    assert "error: database: " in failure.value.log_tail
    assert "refused" in failure.value.log_tail
    assert stack.status() is None


def test_what_a_killed_program_held_stops_with_it(stack_infra: StackInfra) -> None:
    plan = RoomSet(stack_infra.settings, "held.", rooms=()).plan
    argv = [sys.executable, "-c", _HOLDER, msgspec.json.encode(plan).decode()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        status = read_live_status(Path(plan.home))
        assert status is not None
        holder.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(status.supervisor), "the supervisor to stop")
    log = (Path(plan.home) / "logs" / "supervisor.log").read_text(encoding="utf-8")
    assert json.loads(log.splitlines()[-1])["event"] == "stopped", "in order, not by a kill"


def test_the_preparation_makes_topics_schemas_and_tables(stack_infra: StackInfra) -> None:
    prefix = "prepared."
    environment = os.environ | {
        "OUTCRY_KAFKA_BOOTSTRAP": stack_infra.addresses.kafka_bootstrap,
        "OUTCRY_REGISTRY_URL": stack_infra.addresses.registry_url,
        "OUTCRY_PG_DSN": stack_infra.addresses.pg_dsn,
        "OUTCRY_TOPIC_PREFIX": prefix,
    }
    argv = [sys.executable, "-m", "services.tools.stack.prepare", "ingest"]
    for _ in range(2):  # each `up` runs it again
        run = subprocess.run(argv, env=environment, check=False, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
    admin = AdminClient({"bootstrap.servers": stack_infra.addresses.kafka_bootstrap})
    assert f"{prefix}orders" in admin.list_topics(timeout=30).topics
    assert "topics: all are there" in run.stdout
    with psycopg.connect(stack_infra.addresses.pg_dsn) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname NOT LIKE 'pg_%'"
        ).fetchone()
    assert tables is not None
    assert tables[0] > 0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_gateways_on_one_port_all_answer_and_take_a_signed_request_once_together(
    stack_infra: StackInfra,
) -> None:
    prefix = "gateways."
    with RoomSet(stack_infra.settings, prefix, ("gateway",), gateways=2) as rooms:
        plan = rooms.plan
        url = f"http://127.0.0.1:{plan.port_base + PORT_OFFSETS['gateway']}"
        told = os.environ | {
            "OUTCRY_HOME": plan.home,
            "OUTCRY_PG_DSN": plan.addresses.pg_dsn,
            "OUTCRY_TOPIC_PREFIX": prefix,
        }
        outcry = str(Path(sys.executable).with_name("outcry"))
        create = [outcry, "keys", "create", "--account", "alice", "--scope", "read", "--json"]
        said = subprocess.run(create, env=told, check=True, capture_output=True, text=True).stdout
        made = json.loads(said)
        signer = Signer(SigningKey(made["key_id"], made["signing_secret"]))

        def ask(headers: dict[str, str]) -> str:
            """What a gateway says over a connection of its own."""
            answer = httpx.get(f"{url}/account", headers=headers, timeout=60)
            return str(answer.json().get("reason"))

        def both_know_the_key() -> bool:
            return {ask(signer.headers("GET", "/account")) for _ in range(20)} == {
                "UNKNOWN_ACCOUNT"
            }

        wait_until(both_know_the_key, "the key to be known")
        again = signer.headers("GET", "/account")
        reasons = [ask(again) for _ in range(20)]
        policy = httpx.get(f"{url}/time", timeout=60).headers["RateLimit-Policy"]
        counts = [
            httpx.get(f"http://127.0.0.1:{plan.port_base + PORT_OFFSETS[name]}/metrics", timeout=60)
            for name in ("gateway-metrics", "gateway-2")
        ]
    assert reasons == ["UNKNOWN_ACCOUNT", *["SIGNATURE_REUSED"] * 19]
    assert policy == '"address";q=10000;w=10'
    for one in counts:
        assert "outcry_gateway_requests_total{" in one.text
