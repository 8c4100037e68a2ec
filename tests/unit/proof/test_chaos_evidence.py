"""The judge of promises: content with a sound exchange, and not with each planted fault."""

from pathlib import Path

import msgspec
import pytest

from services.domain import codes
from services.domain.commands import CancelOrder, PlaceOrder
from services.tools.proof.chaos.acks import (
    NO_OFFSET,
    Ack,
    AckReader,
    AckWriter,
    command_id_of,
    digest_of,
)
from services.tools.proof.chaos.evidence import ANSWERED, CONFIRMED, ONCE, Evidence
from services.wire import topics
from tests.support.memory_exchange import MARK, MemoryExchange


def order(account: str, number: int, side: int) -> PlaceOrder:
    return PlaceOrder(
        account, f"{account}-{number}", "AAPL", side, codes.LIMIT, codes.GTC, False, MARK, 100,
        codes.CANCEL_RESTING,
    )  # fmt: skip


class Clients:
    """Publish to an exchange in memory and keep what they were promised."""

    def __init__(self) -> None:
        self.exchange = MemoryExchange()
        self.exchange.begin(accounts=("ann", "bob"))
        self.acks: list[Ack] = []
        self.evidence = Evidence(self.exchange.reader, self.exchange.codec)

    def send(self, command: PlaceOrder | CancelOrder, *, through_gateway: bool = False) -> None:
        value = self.exchange.codec.encode_command(topics.ORDERS.name, command)
        at = self.exchange.publish_raw(topics.ORDERS.name, 0, value)
        ack = Ack(0, at.offset, digest_of(value), command.account, command_id_of(command), 0.0)
        if through_gateway:
            ack = msgspec.structs.replace(ack, partition=0, offset=NO_OFFSET, digest="")
        self.acks.append(ack)

    def trade(self, number: int) -> None:
        self.send(order("ann", number, codes.SELL))
        self.send(order("bob", number, codes.BUY), through_gateway=True)
        self.send(CancelOrder("bob", f"cancel-{number}", "AAPL-unknown"))
        at = self.exchange.publish_raw(topics.ORDERS.name, 2, b"nonsense")
        self.acks.append(Ack(2, at.offset, digest_of(b"nonsense"), "", "", 0.0))
        self.exchange.run()

    def judge(self) -> dict[str, int]:
        """Faults by check."""
        self.evidence.advance(self.acks)
        self.acks.clear()
        return {check.name: check.faults for check in self.evidence.checks if check.faults}


@pytest.fixture
def clients() -> Clients:
    clients = Clients()
    for number in range(3):
        clients.trade(number)
    return clients


def test_a_sound_exchange_keeps_every_promise_step_by_step(clients: Clients) -> None:
    assert clients.judge() == {}
    clients.trade(3)
    assert clients.judge() == {}
    counted = {check.name: check.counted for check in clients.evidence.checks}
    assert (counted[CONFIRMED], counted[ANSWERED]) == (12, 16)
    assert counted[ONCE] > 40
    assert clients.evidence.trades == 4


def test_a_confirmed_record_that_is_not_there_is_found(clients: Clients) -> None:
    ack = clients.acks[0]
    clients.acks.append(msgspec.structs.replace(ack, offset=ack.offset + 1_000))
    assert clients.judge() == {CONFIRMED: 1}


def test_other_bytes_where_a_record_was_confirmed_are_found(clients: Clients) -> None:
    clients.acks[0] = msgspec.structs.replace(clients.acks[0], digest=digest_of(b"other"))
    assert clients.judge() == {CONFIRMED: 1}
    assert "other bytes" in clients.evidence.checks[0].examples[0]


def test_a_command_that_was_promised_and_never_answered_is_found(clients: Clients) -> None:
    clients.acks.append(Ack(0, NO_OFFSET, "", "ann", "never-arrived", 0.0))
    assert clients.judge() == {ANSWERED: 1}


def test_junk_without_its_dead_letter_is_found(clients: Clients) -> None:
    clients.judge()
    at = clients.exchange.publish_raw(topics.ORDERS.name, 2, b"late")
    clients.acks.append(Ack(2, at.offset, digest_of(b"late"), "", "", 0.0))
    assert clients.judge() == {ANSWERED: 1}, "nothing has run since"


@pytest.mark.parametrize("topic", ["orders.dlq", "accounts", "matching", "executions", "book"])
def test_an_output_that_stands_in_the_log_twice_is_found(clients: Clients, topic: str) -> None:
    record = clients.exchange.records(topic)[-1]
    clients.exchange.publish_raw(topic, record.partition, record.value or b"")
    assert clients.judge() == {ONCE: 1}


def test_a_trade_that_stands_in_the_log_twice_is_found_by_place_and_by_id(
    clients: Clients,
) -> None:
    record = clients.exchange.records("trades")[-1]
    clients.exchange.publish_raw("trades", record.partition, record.value or b"")
    assert clients.judge() == {ONCE: 2}


def test_promises_are_read_as_they_come_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "acks"
    reader = AckReader(path)
    assert list(reader.fresh()) == []
    writer = AckWriter(path)
    first, second = Ack(1, 2, "ab", "ann", "a-1", 3.5), Ack(0, NO_OFFSET, "", "bob", "b-1", 4.0)
    writer.write(first)
    assert list(reader.fresh()) == [first]
    half = msgspec.json.encode(second) + b"\n"
    with path.open("ab") as file:
        file.write(half[:9])
    assert list(reader.fresh()) == []
    with path.open("ab") as file:
        file.write(half[9:])
    assert list(reader.fresh()) == [second]
    writer.close()
