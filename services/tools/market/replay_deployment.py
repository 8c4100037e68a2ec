"""A deployment for one replay: topics under a prefix of its own, a genesis, rooms, one account."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.domain.commands import CancelOrder, EnterOrder, ReduceOrder, ReplaceOrder
from services.domain.events import AccountState
from services.matcher.core import MatcherCore
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import LogReader, TopicPartition
from services.tools.market.genesis import PARTITION, replay_controls, replay_genesis
from services.tools.market.lobster import ACCOUNT
from services.tools.operate.ask import ask
from services.tools.operate.connect import (
    Deployment,
    hold_own_cluster,
    load_codec,
    require_registry,
)
from services.tools.operate.errors import RefusedError
from services.tools.operate.exchange import KafkaExchange, KafkaWatch
from services.tools.operate.questions import account_question, executions_of, require_accepted
from services.tools.operate.steps import begin
from services.tools.stack.deployment import create_topics, register_schemas
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import RoomSet
from services.wire.codec import Codec
from services.wire.topics import BOOK, CONTROLS, MATCHING, TRADES

REPLAY_ROOMS: Final = ("ingest", "risk", "matcher")
"""No recorder: what a replay leaves behind are its topics."""

MATCHING_PLACE: Final = TopicPartition(MATCHING.name, PARTITION)
TRADES_PLACE: Final = TopicPartition(TRADES.name, PARTITION)
BOOK_PLACE: Final = TopicPartition(BOOK.name, PARTITION)

_ROOMS_WAIT_S: Final = 30.0
_COMMANDS: Final = (EnterOrder, CancelOrder, ReduceOrder, ReplaceOrder)


class ReplayDeployment:
    """What a replay needs of its deployment while the rooms run."""

    def __init__(
        self, deployment: Deployment, codec: Codec, watch: KafkaWatch, reader: KafkaReader
    ) -> None:
        self.deployment = deployment
        self.codec = codec
        self.watch = watch
        """Of `matching`, `trades`, `book` and the account's executions, each from its beginning."""
        self.reader = reader


@contextmanager
def open_replay_deployment(
    settings: StackSettings, prefix: str, ticker: str, opening_mark: int
) -> Iterator[ReplayDeployment]:
    """Make it, run its rooms, and stop them; the topics stay.

    Raises:
        ConfigurationError: another cluster answers than the exchange's own.
        UnreachableError: Kafka or the registry does not answer.
        RefusedError: the prefix was used before.
        NoAnswerError: the rooms run and do not answer.
        StackError: the rooms don't start.
    """
    rooms = RoomSet(settings, prefix, REPLAY_ROOMS)
    addresses = rooms.addresses
    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, prefix
    )
    hold_own_cluster(deployment)
    require_registry(deployment)
    create_topics(addresses, prefix)
    register_schemas(addresses, prefix)
    codec = load_codec(deployment)
    reader = KafkaReader(KafkaConnection(deployment.bootstrap, prefix))
    try:
        _require_empty_book(reader, codec, prefix)
        genesis = replay_genesis(ticker, prefix)
        in_force, _ = begin(addresses, prefix, genesis)
        if in_force != genesis:
            raise RefusedError(
                f"{prefix} has the genesis of {in_force.deployment}; choose another --prefix"
            )
        with KafkaExchange(deployment.bootstrap, prefix, codec) as exchange:
            places = (MATCHING_PLACE, TRADES_PLACE, BOOK_PLACE, executions_of(ACCOUNT))
            watch = exchange.watch(places)
            try:
                with rooms:
                    _open_account(exchange, ticker, opening_mark)
                    yield ReplayDeployment(deployment, codec, watch, reader)
            finally:
                watch.close()
    finally:
        reader.close()


def _open_account(exchange: KafkaExchange, ticker: str, opening_mark: int) -> None:
    """State the mark, then open the account; its answer says that both are in force."""
    mark, account = replay_controls(ticker, opening_mark)
    exchange.publish(CONTROLS.name, 0, "", mark)
    answers = ask(exchange, account_question(account), _ROOMS_WAIT_S)
    require_accepted(answers)
    assert isinstance(answers[-1].decoded.payload, AccountState)


def _require_empty_book(reader: LogReader, codec: Codec, prefix: str) -> None:
    first, end = reader.bounds(MATCHING_PLACE)
    core = MatcherCore(PARTITION)
    commands = 0
    for records in reader.read(MATCHING_PLACE, first, end):
        for record in records:
            decoded = codec.decode(record.topic, record.value)
            core.handle(record.offset, decoded)
            commands += isinstance(decoded.payload, _COMMANDS)
    if commands:
        resting = sum(level.orders for side in core.depth(2**31) for level in side)
        raise RefusedError(
            f"the book of {prefix} is not empty: {commands} commands went to it and {resting} "
            "orders rest; choose another --prefix"
        )
