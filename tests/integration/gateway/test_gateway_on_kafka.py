"""The gateway on the real log: what it accepts is there, what it shows was committed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from services.domain import codes
from services.domain.events import Trade
from services.gateway.service import Service
from services.gateway.session import SERVICE_RESTART
from services.gateway.settings import GatewaySettings
from services.runtime.kafka_admin import create_topics
from services.runtime.registry import load_codec, register_schemas
from services.tools.stack.identity import send_signal
from services.wire.codec import Codec
from services.wire.messages import Payload
from services.wire.topics import BOOK, EXECUTIONS, ORDERS, PREDICTIONS, TRADES
from tests.support.gateway_memory import (
    ORDER,
    book,
    eventually,
    origin,
    prediction,
    report,
    trade,
)
from tests.support.gateway_service import running
from tests.support.stack_fixture import StackInfra

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

WAIT_S: Final = 60
ALICE: Final = {"X-Outcry-Account": "alice"}


class Deployment:
    """Topics of one prefix, and pens for them."""

    def __init__(self, infra: StackInfra) -> None:
        self.bootstrap = infra.addresses.kafka_bootstrap
        self.registry_url = infra.addresses.registry_url
        self.prefix = f"gw-{uuid4().hex[:8]}."
        create_topics(self.bootstrap, self.prefix)
        register_schemas(self.registry_url)
        self.codec: Codec = load_codec(self.registry_url)
        self._producer = Producer({"bootstrap.servers": self.bootstrap})

    def write(self, *payloads: Payload) -> None:
        """Put these into their feeds, outside any transaction."""
        for payload in payloads:
            self._produce(self._producer, payload)
        assert self._producer.flush(WAIT_S) == 0

    def write_numbered(self, *trades: Trade) -> None:
        """Put these into their feed, as the matcher numbers its first trades."""
        for number, made in enumerate(trades, 1):
            self._produce(self._producer, made, number)
        assert self._producer.flush(WAIT_S) == 0

    def write_and_abort(self, *payloads: Payload) -> None:
        """Put these into their feeds in a transaction that is aborted."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "transactional.id": f"{self.prefix}aborter",
                "transaction.timeout.ms": 5_000,
            }
        )
        producer.init_transactions(WAIT_S)
        producer.begin_transaction()
        for payload in payloads:
            self._produce(producer, payload)
        producer.flush(WAIT_S)
        producer.abort_transaction(WAIT_S)

    def _produce(self, producer: Producer, payload: Payload, sequence: int = 1) -> None:
        topics = {"BookDepth": BOOK, "Trade": TRADES, "Prediction": PREDICTIONS}
        topic = topics.get(type(payload).__name__, EXECUTIONS)
        key = str(getattr(payload, "account" if topic is EXECUTIONS else "ticker"))
        value = self.codec.encode(topic.name, origin(sequence=sequence), payload)
        producer.produce(self.prefix + topic.name, value, key, 0)

    def orders(self) -> list[Any]:
        """Every command in `orders`, read anew."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"{self.prefix}reader",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        topic = self.prefix + ORDERS.name
        consumer.assign([TopicPartition(topic, p, 0) for p in range(ORDERS.partitions)])
        found: list[Any] = []
        ended = 0
        while ended < ORDERS.partitions:
            message = consumer.poll(WAIT_S)
            assert message is not None
            if message.error() is not None:
                ended += 1
                continue
            found.append(self.codec.decode(ORDERS.name, message.value()).payload)
        consumer.close()
        return found

    def environment(self, **changes: str) -> dict[str, str]:
        return (
            os.environ
            | {
                "OUTCRY_KAFKA_BOOTSTRAP": self.bootstrap,
                "OUTCRY_REGISTRY_URL": self.registry_url,
                "OUTCRY_TOPIC_PREFIX": self.prefix,
                "OUTCRY_GATEWAY_ACCESS": "open",
                "OUTCRY_GATEWAY_PORT": "0",
            }
            | changes
        )

    @asynccontextmanager
    async def gateway(self, **changes: Any) -> AsyncIterator[Service]:  # noqa: ANN401
        """A gateway in this process, ready."""
        settings = GatewaySettings(
            kafka_bootstrap=self.bootstrap,
            registry_url=self.registry_url,
            topic_prefix=self.prefix,
            gateway_port=0,
            **{"gateway_access": "open", **changes},
        )
        async with running(settings) as service:
            yield service


@pytest.fixture
def deployment(stack_infra: StackInfra) -> Deployment:
    return Deployment(stack_infra)


def client_of(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{service.port}", headers=ALICE, timeout=WAIT_S
    )


async def candles_of(service: Service) -> list[dict[str, Any]]:
    async with client_of(service) as client:
        found: list[dict[str, Any]] = (await client.get("/candles/AAPL")).json()["candles"]
    return found


@asynccontextmanager
async def hearing_predictions(
    service: Service,
) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
    """What to call for the next message of the predictions channel about AAPL."""
    async with connect(f"ws://127.0.0.1:{service.port}/ws") as socket:
        await socket.send('{"op": "subscribe", "channel": "predictions", "ticker": "AAPL"}')

        async def hear() -> dict[str, Any]:
            said = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
            data: dict[str, Any] = said["data"]
            return data

        yield hear


async def test_every_accepted_order_is_in_the_log_once(deployment: Deployment) -> None:
    orders = [ORDER | {"client_order_id": f"a-{n}", "ticker": t}
              for n, t in enumerate(["AAPL", "MSFT", "TSLA", "IBM"] * 25)]  # fmt: skip
    async with deployment.gateway() as service, client_of(service) as client:
        answers = await asyncio.gather(*[client.post("/orders", json=order) for order in orders])
    assert {answer.status_code for answer in answers} == {202}
    written = await asyncio.to_thread(deployment.orders)
    assert sorted(command.client_order_id for command in written) == sorted(
        order["client_order_id"] for order in orders
    )


async def test_a_gateway_shows_what_happened_before_it_started(deployment: Deployment) -> None:
    deployment.write(
        report(),
        report(order_id="AAPL-2", account_sequence=2),
        report(account_sequence=3, order_status=codes.FILLED),
        *[trade(number) for number in range(300)],
        book(quantity=1),
        book(quantity=2),
        book("TSLA"),
    )
    async with deployment.gateway(gateway_trades_kept=5) as service:
        async with client_of(service) as client:
            assert (await client.get("/orders/AAPL-1")).json()["status"] == "FILLED"
            assert (await client.get("/orders/AAPL-2")).json()["status"] == "NEW"
            assert (await client.get("/book/AAPL")).json()["bids"][0]["quantity"] == 2
            tickers = (await client.get("/tickers")).json()["tickers"]
            assert [line["ticker"] for line in tickers] == ["AAPL", "TSLA"]
        async with connect(f"ws://127.0.0.1:{service.port}/ws") as socket:
            await socket.send('{"op": "subscribe", "channel": "trades", "ticker": "AAPL"}')
            snapshot = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
    shown = [line["trade_id"] for line in snapshot["data"]["trades"]]
    assert shown == [f"AAPL-7-{number}" for number in range(295, 300)]


async def test_a_gateway_that_starts_again_shows_the_same_candles_and_predictions(
    deployment: Deployment,
) -> None:
    deployment.write(*[trade(number) for number in range(300)], book(), prediction())
    async with deployment.gateway() as service, hearing_predictions(service) as hear:
        before = await hear()
        candles = await candles_of(service)
        deployment.write(prediction(model_version=4))
        after = await hear()
    async with deployment.gateway() as service, hearing_predictions(service) as hear:
        assert await hear() == after
        assert await candles_of(service) == candles
    assert [said["model_version"] for said in before["predictions"]] == [3]
    assert [said["model_version"] for said in after["predictions"]] == [4, 3]
    assert [(c["trades"], c["volume"]) for c in candles] == [(300, 47_850)]


async def test_candles_say_where_the_gateway_began_to_read(deployment: Deployment) -> None:
    deployment.write(book())
    deployment.write_numbered(*[trade(number) for number in range(20)])
    kept = {"gateway_candle_trades_max": 5, "gateway_trades_kept": 0, "gateway_resumable": 0}
    async with deployment.gateway(**kept) as service:
        (candle,) = await candles_of(service)
    assert (candle["trades"], candle["is_partial"]) == (5, True)


async def test_what_was_never_committed_is_never_shown(deployment: Deployment) -> None:
    deployment.write(report())
    async with (
        deployment.gateway() as service,
        connect(f"ws://127.0.0.1:{service.port}/ws?account=alice") as socket,
    ):
        await socket.send('{"op": "subscribe", "channel": "executions"}')
        await asyncio.wait_for(socket.recv(), WAIT_S)
        fill = report(account_sequence=2, order_status=codes.FILLED, trade_id="aborted")
        await asyncio.to_thread(deployment.write_and_abort, fill)
        deployment.write(report(account_sequence=2, order_status=codes.CANCELED))
        update = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
    assert (update["data"]["status"], update["data"]["trade_id"]) == ("CANCELED", None)


async def test_a_strangers_record_in_a_feed_stops_nothing(deployment: Deployment) -> None:
    producer = Producer({"bootstrap.servers": deployment.bootstrap})
    for topic in (BOOK, TRADES, EXECUTIONS):
        for value in (b"junk", b"", b"\0\0\0\0\1x", None):
            producer.produce(deployment.prefix + topic.name, value, b"AAPL", 0)
    producer.flush(WAIT_S)
    deployment.write(report(), book())
    async with deployment.gateway() as service, client_of(service) as client:
        assert (await client.get("/orders/AAPL-1")).status_code == 200
        assert (await client.get("/book/AAPL")).status_code == 200


async def post_until(
    client: httpx.AsyncClient, done: asyncio.Event, answers: dict[str, int]
) -> None:
    """Place orders one after the other; note how each was answered."""
    while not done.is_set():
        name = f"a-{uuid4().hex}"
        response = await client.post("/orders", json=ORDER | {"client_order_id": name})
        answers[name] = response.status_code
        await asyncio.sleep(0.01)


@pytest.mark.long
async def test_a_dying_broker_makes_no_answer_untrue(
    deployment: Deployment, stack_infra: StackInfra
) -> None:
    def kafka_process() -> Any:  # noqa: ANN401
        status = stack_infra.stack.status()
        assert status is not None
        return status.row("kafka").process

    answers: dict[str, int] = {}
    done = asyncio.Event()
    async with (
        deployment.gateway(gateway_append_timeout_ms=1_000) as service,
        client_of(service) as client,
    ):
        posting = [asyncio.create_task(post_until(client, done, answers)) for _ in range(4)]
        await eventually(lambda: len(answers) >= 50)
        victim = kafka_process()
        assert send_signal(victim, signal.SIGKILL)
        await eventually(lambda: 503 in answers.values())
        assert (await client.get("/readyz")).status_code == 503
        await eventually(lambda: list(answers.values())[-1] == 202)
        assert kafka_process() != victim
        done.set()
        await asyncio.gather(*posting)
    written = [c.client_order_id for c in await asyncio.to_thread(deployment.orders)]
    assert set(answers.values()) <= {202, 503, 504}
    assert not {name for name, status in answers.items() if status == 202} - set(written)
    assert not {name for name, status in answers.items() if status == 503} & set(written)
    assert len(written) == len(set(written))


def start_process(deployment: Deployment, log: Path, **changes: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "services.gateway"],
            env=deployment.environment(**changes),
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def events(log: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


async def listening(log: Path) -> int:
    await eventually(lambda: "ready" in [line["event"] for line in events(log)])
    (port,) = [line["port"] for line in events(log) if line["event"] == "listening"]
    return int(port)


async def test_the_process_ends_in_order_when_it_is_told_to(
    deployment: Deployment, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = start_process(deployment, log)
    try:
        port = await listening(log)
        async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
            await socket.send("{}")
            await socket.recv()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as raised:
                await asyncio.wait_for(socket.recv(), WAIT_S)
        assert raised.value.rcvd is not None
        assert raised.value.rcvd.code == SERVICE_RESTART
        assert await asyncio.to_thread(process.wait, WAIT_S) == 0
    finally:
        process.kill()
    assert [line["event"] for line in events(log)][-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize(
    "changes,code,cause",
    [
        ({"OUTCRY_GATEWAY_HOST": "0.0.0.0"}, 2, "not a loopback address"),  # noqa: S104
        ({"OUTCRY_GATEWAY_PORT": "70000"}, 2, "OUTCRY_GATEWAY_PORT"),
        ({"OUTCRY_TOPIC_PREFIX": "nowhere."}, 1, "run `outcry topics create`"),
    ],
)
def test_a_wrong_setting_ends_the_process_with_its_cause(
    deployment: Deployment, tmp_path: Path, changes: dict[str, str], code: int, cause: str
) -> None:
    log = tmp_path / "log"
    process = start_process(deployment, log, **changes)
    assert process.wait(WAIT_S) == code
    assert cause in log.read_text().splitlines()[-1]
