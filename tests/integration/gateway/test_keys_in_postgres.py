"""Keys from the command line to running gateways: created, known, revoked, their database away."""

import asyncio
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from websockets.asyncio.client import connect

from services.cli import main
from services.gateway.core.keys import SCOPES, ApiKey
from services.gateway.key_secret import ensure_server_secret
from services.gateway.key_source import PostgresKeys
from services.gateway.metrics import METRICS
from services.gateway.service import Service
from services.gateway.session import KEY_ENDED
from services.gateway.settings import GatewaySettings
from services.recorder.migrations import migrate
from services.runtime.errors import ConfigurationError, NoTablesError, RetriableError
from services.runtime.kafka_admin import create_topics
from services.runtime.registry import register_schemas
from services.runtime.telemetry import Telemetry
from tests.support.described_api import EXAMPLES, check_answers
from tests.support.gateway_keys import Owner
from tests.support.gateway_memory import ORDER
from tests.support.gateway_service import running
from tests.support.page_examples import example
from tests.support.pg_proxy import PostgresProxy
from tests.support.recorder_world import create_database, drop_database
from tests.support.stack_fixture import StackInfra

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

WAIT_S: Final = 60
KEYED_EXAMPLES: Final = max(EXAMPLES, 20)


class World(NamedTuple):
    """A deployment of this module's own: topics, a database, a secret."""

    infra: StackInfra
    prefix: str
    dsn: str
    secret_file: Path

    def outcry(self, *arguments: str) -> tuple[int, str, str]:
        """`outcry` as an operator types it: exit code, output, errors."""
        out, err = io.StringIO(), io.StringIO()
        settings = {
            "OUTCRY_HOME": str(self.secret_file.parent),
            "OUTCRY_PG_DSN": self.dsn,
            "OUTCRY_TOPIC_PREFIX": self.prefix,
        }
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["outcry", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code
        if isinstance(code, str):
            return 1, out.getvalue(), err.getvalue() + code
        return int(code or 0), out.getvalue(), err.getvalue()

    def create(self, *options: str) -> dict[str, Any]:
        code, out, err = self.outcry("keys", "create", *options, "--json")
        assert code == 0, err
        made: dict[str, Any] = json.loads(out)
        return made

    @asynccontextmanager
    async def gateway(self, **changes: Any) -> AsyncIterator[Service]:  # noqa: ANN401
        """A gateway in this process that asks for keys, listening."""
        settings = GatewaySettings(
            kafka_bootstrap=self.infra.addresses.kafka_bootstrap,
            registry_url=self.infra.addresses.registry_url,
            topic_prefix=self.prefix,
            gateway_port=0,
            gateway_keys_secret_file=self.secret_file,
            gateway_keys_refresh_ms=50,
            **{"pg_dsn": self.dsn, **changes},
        )
        async with running(settings) as service:
            yield service


@pytest.fixture(scope="module")
def world(stack_infra: StackInfra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    prefix = f"keys-{uuid4().hex[:8]}."
    dsn = make_conninfo(stack_infra.addresses.pg_dsn, dbname=f"keys_{uuid4().hex[:8]}")
    create_database(dsn)
    migrate(dsn)
    create_topics(stack_infra.addresses.kafka_bootstrap, prefix)
    register_schemas(stack_infra.addresses.registry_url)
    secret_file = tmp_path_factory.mktemp("keys") / "keys.secret"
    ensure_server_secret(secret_file)
    yield World(stack_infra, prefix, dsn, secret_file)
    drop_database(dsn)


def client_of(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", timeout=WAIT_S)


async def until(status: int, ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The first answer with this status."""
    async with asyncio.timeout(WAIT_S):
        while (answer := await ask()).status_code != status:  # noqa: ASYNC110 - sets no event
            await asyncio.sleep(0.02)
    return answer


def bearer(made: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['key']}"}


async def test_a_key_is_made_and_revoked_while_two_gateways_run(world: World) -> None:
    async with world.gateway() as one, world.gateway() as other:
        clients = [client_of(one), client_of(other)]
        made = await asyncio.to_thread(
            world.create, "--account", "alice", "--scope", "read", "--scope", "trade"
        )
        for number, client in enumerate(clients):
            order = ORDER | {"client_order_id": f"a-{number}"}
            await until(202, lambda: client.post("/orders", json=order, headers=bearer(made)))  # noqa: B023
        url = f"ws://127.0.0.1:{one.port}/ws"
        async with connect(url, additional_headers=bearer(made)) as socket:
            await socket.send('{"op": "subscribe", "channel": "executions"}')
            assert json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))["type"] == "snapshot"
            code, out, _ = await asyncio.to_thread(world.outcry, "keys", "revoke", made["key_id"])
            assert (code, "is revoked" in out) == (0, True)
            await asyncio.wait_for(socket.wait_closed(), WAIT_S)
            assert (socket.close_code, "revoked" in (socket.close_reason or "")) == (
                KEY_ENDED,
                True,
            )
        for client in clients:
            answer = await until(401, lambda: client.get("/account", headers=bearer(made)))  # noqa: B023
            assert answer.json()["reason"] == "KEY_REFUSED"
            await client.aclose()


async def test_while_its_database_is_away_a_gateway_trusts_its_keys_for_so_long(
    world: World,
) -> None:
    made = await asyncio.to_thread(world.create, "--account", "bob", "--scope", "read")
    with PostgresProxy(world.dsn) as proxy:
        async with (
            world.gateway(pg_dsn=proxy.dsn, gateway_keys_stale_ms_max=100) as service,
            client_of(service) as client,
        ):

            def ask() -> Awaitable[httpx.Response]:
                return client.get("/account", headers=bearer(made))

            known = await until(404, ask)
            proxy.away = True
            answer = await until(503, ask)
            assert answer.json()["reason"] == "KEYS_UNAVAILABLE"
            assert (await client.get("/time")).status_code == 200
            proxy.away = False
            assert (await until(404, ask)).json() == known.json()


async def test_a_gateway_without_what_keys_need_says_so_and_does_not_start(
    world: World, tmp_path: Path
) -> None:
    for changes, named in (
        ({"pg_dsn": None}, "OUTCRY_PG_DSN"),
        ({"gateway_keys_secret_file": None}, "OUTCRY_GATEWAY_KEYS_SECRET_FILE"),
        ({"gateway_keys_secret_file": tmp_path / "none"}, "outcry up"),
    ):
        fields: dict[str, Any] = {
            "kafka_bootstrap": world.infra.addresses.kafka_bootstrap,
            "registry_url": world.infra.addresses.registry_url,
            "topic_prefix": world.prefix,
            "pg_dsn": world.dsn,
            "gateway_port": 0,
            "gateway_keys_secret_file": world.secret_file,
        }
        service = Service(
            GatewaySettings(**(fields | changes)), Telemetry("gateway", metrics=METRICS)
        )
        with pytest.raises(ConfigurationError, match=named):
            await service.run()


@pytest.mark.long
@pytest.mark.timeout(120 + 30 * KEYED_EXAMPLES)
async def test_every_answer_to_who_may_everything_is_one_that_openapi_describes(
    world: World, tmp_path: Path
) -> None:
    """With keys, on real topics; behind them no room runs, so what is waited for does not come."""
    scopes = [option for scope in SCOPES for option in ("--scope", scope)]
    made = await asyncio.to_thread(world.create, "--account", "alice", *scopes)
    async with world.gateway() as service, client_of(service) as client:
        await until(404, lambda: client.get("/account", headers=bearer(made)))
        code, said = await check_answers(
            f"http://127.0.0.1:{service.port}", tmp_path, 100 + 30 * KEYED_EXAMPLES,
            "--phases", "examples,coverage,fuzzing",
            examples=KEYED_EXAMPLES, header=f"Authorization: {bearer(made)['Authorization']}",
        )  # fmt: skip
    assert code == 0, said


# --- what the database holds


def test_only_a_hash_is_kept_and_the_key_is_shown_once(world: World) -> None:
    made = world.create("--account", "carol", "--scope", "trade", "--note", "her laptop")
    with psycopg.connect(world.dsn) as connection:
        rows = connection.execute("SELECT k::text FROM outcry.api_keys AS k").fetchall()
    kept = "".join(row for (row,) in rows)
    code, listed, _ = world.outcry("keys", "list")
    assert code == 0
    assert made["key_id"] in kept
    assert made["key_id"] in listed
    secrets = (made["key"].rpartition("_")[2], made["signing_secret"])
    assert [secret for secret in secrets if secret in kept + listed] == []
    assert "her laptop" in listed


def test_keys_of_other_deployments_and_those_that_ended_are_not_loaded(world: World) -> None:
    gone = world.create("--account", "dave", "--scope", "read")
    brief = world.create("--account", "dave", "--scope", "read", "--expires-in", "1s")
    lasting = world.create("--account", "dave", "--scope", "read", "--expires-in", "1d")
    assert world.outcry("keys", "revoke", gone["key_id"], "--why", "test")[0] == 0
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(1.1)")
    source = PostgresKeys(world.dsn, world.prefix)
    found = {key.key_id: key for key in source.load(1_000)}
    stranger = PostgresKeys(world.dsn, "another.")
    assert not {gone["key_id"], brief["key_id"]} & set(found)
    key: ApiKey = found[lasting["key_id"]]
    assert (key.account, key.scopes, key.signed_only) == ("dave", ("read",), False)
    assert key.expires_at_us is not None
    assert (stranger.mark(), stranger.load(10)) == ((0, 0), [])
    states = {
        line["key_id"]: line["state"]
        for line in json.loads(world.outcry("keys", "list", "--json")[1])
    }
    assert [states[made["key_id"]] for made in (gone, brief, lasting)] == [
        "revoked", "expired", "counts",
    ]  # fmt: skip
    source.close()
    stranger.close()


def test_a_mark_changes_with_every_key_and_every_revocation(world: World) -> None:
    source = PostgresKeys(world.dsn, world.prefix)
    marks = [source.mark(), source.mark()]
    made = world.create("--account", "erin", "--scope", "read")
    marks.append(source.mark())
    for _ in range(2):
        assert world.outcry("keys", "revoke", made["key_id"])[0] == 0
        marks.append(source.mark())
    source.close()
    assert [marks[0] == marks[1], marks[1] == marks[2], marks[2] == marks[3]] == [
        True,
        False,
        False,
    ]
    assert marks[3] == marks[4]


def test_a_key_that_may_only_sign_is_never_shown(world: World) -> None:
    made = world.create("--account", "frank", "--scope", "trade", "--signed-only")
    assert made["key"] is None
    assert len(made["signing_secret"]) == 43


@pytest.mark.parametrize(
    "arguments,cause",
    [
        (("create", "--scope", "trade"), "add --account NAME"),
        (("create", "--scope", "admin", "--scope", "read"), "add --account NAME"),
        (("create", "--account", "a", "--scope", "read", "--note", "x" * 201), "200 characters"),
        (("revoke", "0" * 16), "there is no key"),
        (("revoke", "outcry_0123456789abcdef_" + "a" * 43), "16 hexadecimal digits"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    world: World, arguments: tuple[str, ...], cause: str
) -> None:
    code, out, err = world.outcry("keys", *arguments)
    assert (code, out) == (1, "")
    assert cause in err
    assert "aaaaaaaa" not in err


def test_a_database_that_is_away_or_empty_is_told_apart(world: World) -> None:
    with pytest.raises(RetriableError, match="PostgreSQL"):
        PostgresKeys(make_conninfo(world.dsn, dbname="nobody_made_it"), "default").mark()
    bare = make_conninfo(world.dsn, dbname=f"bare_{uuid4().hex[:8]}")
    create_database(bare)
    source = PostgresKeys(bare, "default")
    with pytest.raises(NoTablesError, match="outcry up"):
        source.mark()
    source.close()
    drop_database(bare)


# --- the page's own examples, as they are written


@pytest.mark.parametrize(
    "program,code",
    [
        (["bash", "-eu"], example("docs/security.md", "Sign instead", "sh")),
        ([sys.executable], example("docs/security.md", "Sign instead", "python")),
    ],
    ids=["sh", "python"],
)
async def test_the_examples_of_signing_work_as_written(
    world: World, program: list[str], code: str, tmp_path: Path
) -> None:
    made = await asyncio.to_thread(
        world.create, "--account", "alice", "--scope", "read", "--scope", "trade", "--signed-only"
    )
    async with world.gateway() as service, client_of(service) as client:
        await until(404, lambda: client.get("/account", headers=signed_get(made, "/account")))
        script = tmp_path / "example"
        script.write_text(code, encoding="utf-8")
        ran = await asyncio.to_thread(
            subprocess.run,
            [*program, str(script)],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ
            | {
                "OUTCRY_URL": f"http://127.0.0.1:{service.port}",
                "OUTCRY_KEY_ID": made["key_id"],
                "OUTCRY_SIGNING_SECRET": made["signing_secret"],
            },
        )
    assert ran.returncode == 0, shlex.join(program) + ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["status"] == "PENDING_NEW"


def signed_get(made: dict[str, Any], path: str) -> dict[str, str]:
    owner = Owner(ApiKey(made["key_id"], b"", "", ()), "", made["signing_secret"])
    return owner.signed("GET", path)
