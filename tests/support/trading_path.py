"""The whole trading path on the session's stack, and a client of it that keeps what it sees."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast
from uuid import uuid4

from confluent_kafka import Message, Producer

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.controls import Genesis, OpenAccount, SetMark
from services.domain.events import AccountState, ExecutionReport
from services.domain.genesis import default_genesis
from services.runtime.kafka_admin import create_topics
from services.runtime.ports import TopicPartition
from services.runtime.registry import load_codec, register_schemas
from services.tools.operate.exchange import KafkaExchange, KafkaWatch, Seen
from services.tools.operate.steps import begin
from services.tools.stack.deployment import migrate_database
from services.tools.stack.plan import Addresses
from services.tools.stack.stack import RoomSet
from services.wire.codec import Codec
from services.wire.messages import Payload
from services.wire.topics import BY_NAME, CONTROLS, EXECUTIONS, ORDERS, ORDERS_DLQ
from tests.support.stack_fixture import StackInfra

ANSWER_WAIT_S: Final = 90.0  # the rooms start meanwhile, perhaps on a machine with no core free
PATH_ROOMS: Final = ("ingest", "risk", "matcher", "recorder")
MARK: Final = 1_870_000


def every_partition(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, p) for p in range(BY_NAME[topic].partitions)]


class TradingPath:
    """A client of one deployment. What came out is kept in order of arrival."""

    def __init__(self, addresses: Addresses, prefix: str, rooms: RoomSet) -> None:
        self.addresses = addresses
        self.prefix = prefix
        self.rooms = rooms
        self.codec: Codec = load_codec(addresses.registry_url)
        self.exchange = KafkaExchange(addresses.kafka_bootstrap, prefix, self.codec)
        self.producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap, "acks": "all"})
        watched = [*every_partition(EXECUTIONS.name), *every_partition(ORDERS_DLQ.name)]
        self.watch: KafkaWatch = self.exchange.watch(watched)
        self.seen: list[Seen] = []

    def close(self) -> None:
        self.watch.close()
        self.exchange.close()

    def send_raw(self, value: bytes | None, partition: int = 0) -> tuple[int, int]:
        """Write any bytes to `orders`; returns where they stand."""
        placed: list[Message] = []

        def delivered(error: object, message: Message) -> None:
            assert error is None, error
            placed.append(message)

        topic = self.prefix + ORDERS.name
        self.producer.produce(topic, value, partition=partition, on_delivery=delivered)
        assert self.producer.flush(ANSWER_WAIT_S) == 0
        return partition, cast("int", placed[0].offset())

    def send(self, command: Payload, partition: int = 0, event_time_us: int = 0) -> tuple[int, int]:
        """Write a command to `orders`."""
        value = self.codec.encode_command(ORDERS.name, command, event_time_us)
        return self.send_raw(value, partition)

    def control(self, control: Payload) -> None:
        """Write a control; durable on return, acted on soon after."""
        self.exchange.publish(CONTROLS.name, 0, "", control)

    def wait_for(self, found: Callable[[Seen], bool], what: str) -> Seen:
        """The first record, old or new, that this is true of."""
        give_up_at_s = time.monotonic() + ANSWER_WAIT_S
        checked = 0
        while True:
            for record in self.seen[checked:]:
                if found(record):
                    return record
            checked = len(self.seen)
            assert time.monotonic() < give_up_at_s, f"no {what}; the last: {self.seen[-5:]}"
            self.seen += self.watch.poll(0.2)

    def report(self, command_id: str, exec_type: int | None = None) -> ExecutionReport:
        """The first report this command caused (of one type, if given)."""

        def is_report(record: Seen) -> bool:
            payload = record.decoded.payload
            return (
                isinstance(payload, ExecutionReport)
                and command_id in {payload.client_command_id, payload.client_order_id}
                and exec_type in {None, payload.exec_type}
            )

        found = self.wait_for(is_report, f"report of {command_id} ({exec_type})")
        return cast("ExecutionReport", found.decoded.payload)

    def reports(self, order_id: str) -> list[ExecutionReport]:
        """What has been seen of an order so far."""
        payloads: Sequence[Any] = [record.decoded.payload for record in self.seen]
        return [p for p in payloads if isinstance(p, ExecutionReport) and p.order_id == order_id]

    def account_state(self, command_id: str) -> AccountState:
        """The answer to a control."""

        def is_state(record: Seen) -> bool:
            payload = record.decoded.payload
            return isinstance(payload, AccountState) and payload.client_command_id == command_id

        state = self.wait_for(is_state, f"account state of {command_id}").decoded.payload
        return cast("AccountState", state)

    def open_account(self, account: str, *, short_allowed: bool = True) -> None:
        """Open an account with wide limits and wait until it is."""
        command_id = f"open-{account}"
        self.control(OpenAccount(command_id, account, 10**6, 10**13, 10**14, short_allowed))
        self.account_state(command_id)


def limit_order(
    account: str, side: int, price: int, quantity: int, ticker: str = "AAPL"
) -> PlaceOrder:
    """A GTC limit order under a fresh client order id."""
    return PlaceOrder(
        account=account,
        client_order_id=uuid4().hex,
        ticker=ticker,
        side=side,
        order_type=codes.LIMIT,
        time_in_force=codes.GTC,
        post_only=False,
        price=price,
        quantity=quantity,
        self_trade_prevention=codes.CANCEL_RESTING,
    )


@contextmanager
def running_path(
    infra: StackInfra,
    prefix: str,
    genesis: Genesis | None = None,
    rooms: tuple[str, ...] = PATH_ROOMS,
) -> Iterator[TradingPath]:
    """Topics, schemas, tables, genesis and rooms of one deployment, with a mark in AAPL."""
    addresses = infra.addresses
    create_topics(addresses.kafka_bootstrap, prefix)
    register_schemas(addresses.registry_url)
    migrate_database(addresses, prefix)
    begin(addresses, prefix, genesis or default_genesis(prefix.strip(".")))
    with RoomSet(infra.settings, prefix, rooms) as room_set:
        assert isinstance(room_set, RoomSet)
        path = TradingPath(addresses, prefix, room_set)
        path.control(SetMark("mark-aapl", "AAPL", MARK))
        yield path
        path.close()
