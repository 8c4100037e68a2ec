"""A deployment to stream history into: topics of its own prefix, event time, everything open.

Unlike a replay's it may be opened again, to go on: its genesis is then the same, or it is refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from msgspec.structs import replace

from services.domain.controls import Genesis, SetMark
from services.domain.reasons import Reason
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import LogReader
from services.tools.history.errors import HistoryError
from services.tools.market.genesis import replay_controls, replay_genesis
from services.tools.operate.ask import ask
from services.tools.operate.connect import (
    Deployment,
    hold_own_cluster,
    load_codec,
    require_registry,
)
from services.tools.operate.errors import RefusedError
from services.tools.operate.exchange import KafkaExchange
from services.tools.operate.questions import account_question, require_accepted
from services.tools.operate.steps import begin
from services.tools.stack.deployment import create_topics, register_schemas
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import RoomSet
from services.wire.codec import Codec
from services.wire.topics import CONTROLS, TICKER_PARTITIONS

STREAM_ROOMS: Final = ("ingest", "risk", "matcher")
"""What prints trades. Others may run beside them."""

_ROOMS_WAIT_S: Final = 30.0


class StreamDeployment:
    """What a stream needs of its deployment while the rooms run."""

    def __init__(
        self,
        deployment: Deployment,
        codec: Codec,
        reader: LogReader,
        rooms: tuple[str, ...] = STREAM_ROOMS,
    ) -> None:
        self.deployment = deployment
        self.codec = codec
        self.reader = reader
        self.rooms = rooms


def stream_genesis(tickers: list[str], deployment: str) -> Genesis:
    """A replay's, of several tickers, in which any price is on tick.

    Raises:
        HistoryError: more tickers than a deployment has partitions.
    """
    if len(tickers) > TICKER_PARTITIONS:
        raise HistoryError(
            f"{len(tickers)} tickers, and a deployment has {TICKER_PARTITIONS} books: choose with"
            " --ticker"
        )
    whole = replay_genesis(tickers[0], deployment)
    (pattern,) = whole.instruments
    instruments = tuple(
        replace(pattern, ticker=ticker, partition=partition, tick=1)
        for partition, ticker in enumerate(tickers)
    )
    return replace(whole, instruments=instruments)


@contextmanager
def open_stream_deployment(
    settings: StackSettings,
    prefix: str,
    marks: Mapping[str, int],
    rooms: tuple[str, ...] = STREAM_ROOMS,
    port_base: int | None = None,
) -> Iterator[StreamDeployment]:
    """Make it or find it, run its rooms, and stop them; the topics stay.

    `marks` are the prices at which the tickers begin; their order is that of the partitions. The
    rooms take free ports above the stack's unless `port_base` is given.

    Raises:
        ConfigurationError: another cluster answers than the exchange's own.
        UnreachableError: Kafka or the registry does not answer.
        RefusedError: the prefix is another deployment's.
        NoAnswerError: the rooms run and do not answer.
        StackError: the rooms don't start.
    """
    genesis = stream_genesis(list(marks), prefix)
    room_set = RoomSet(settings, prefix, rooms, port_base)
    addresses = room_set.addresses
    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, prefix
    )
    hold_own_cluster(deployment)
    require_registry(deployment)
    create_topics(addresses, prefix)
    register_schemas(addresses, prefix)
    in_force, _ = begin(addresses, prefix, genesis)
    if in_force != genesis:
        raise RefusedError(
            f"{prefix} has another genesis ({in_force.deployment}); choose another --prefix, or the"
            " same tickers as before"
        )
    codec = load_codec(deployment)
    reader = KafkaReader(KafkaConnection(deployment.bootstrap, prefix))
    try:
        with room_set:
            with KafkaExchange(deployment.bootstrap, prefix, codec) as exchange:
                _admit(exchange, marks)
            yield StreamDeployment(deployment, codec, reader, rooms)
    finally:
        reader.close()


def _admit(exchange: KafkaExchange, marks: Mapping[str, int]) -> None:
    """State the marks, then open the account; its answer says that all are in force."""
    for ticker, price in marks.items():
        mark = SetMark(f"mark-{ticker}", ticker, price)
        exchange.publish(CONTROLS.name, 0, "", mark)
    _, account = replay_controls(next(iter(marks)), 1)
    try:
        require_accepted(ask(exchange, account_question(account), _ROOMS_WAIT_S))
    except RefusedError as refused:
        if refused.reason != Reason.ACCOUNT_EXISTS.name:  # opened by the stream that goes on
            raise
