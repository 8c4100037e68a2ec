"""The genesis of a deployment: the first one in `controls`, or the one to begin with."""

from collections.abc import Iterator

from services.domain.controls import Genesis, Instrument
from services.domain.genesis import find_genesis_fault
from services.runtime.errors import ConfigurationError
from services.runtime.ports import LogReader, TopicPartition
from services.tools.operate.errors import UnknownError
from services.tools.operate.exchange import Exchange
from services.wire.codec import Codec, UndecodableError
from services.wire.topics import ACCOUNT_PARTITIONS, CONTROLS, TICKER_PARTITIONS

_CONTROLS = TopicPartition(CONTROLS.name, 0)


def find_genesis(log: LogReader, codec: Codec) -> Genesis | None:
    """The genesis in force, or None before it. Blocks while reading, usually one record.

    The folds heed the first one that ingest lets through, so this does too.

    Raises:
        RetriableError: Kafka can't be read.
    """
    return next(_usable(log, codec), None)


def require_genesis(log: LogReader, codec: Codec) -> Genesis:
    """The genesis in force.

    Raises:
        UnknownError: there is none yet.
        RetriableError: Kafka can't be read.
    """
    genesis = find_genesis(log, codec)
    if genesis is None:
        raise UnknownError(
            f"{CONTROLS.name} holds no genesis: start the exchange with `outcry up`, "
            "or check OUTCRY_TOPIC_PREFIX"
        )
    return genesis


def ensure_genesis(
    log: LogReader, codec: Codec, exchange: Exchange, genesis: Genesis
) -> tuple[Genesis, bool]:
    """Publish this genesis unless there is one; returns the one in force and whether it is new.

    Raises:
        ConfigurationError: it does not fit the topics, or the log's one does not.
    """
    fault = find_genesis_fault(genesis, TICKER_PARTITIONS, ACCOUNT_PARTITIONS)
    if fault:
        raise ConfigurationError(f"this genesis can't be used: {fault}")
    found = find_genesis(log, codec)
    if found is not None:
        return found, False
    unusable = next(_all(log, codec), None)
    if unusable is not None:
        fault = find_genesis_fault(unusable, TICKER_PARTITIONS, ACCOUNT_PARTITIONS)
        raise ConfigurationError(
            f"the genesis in {CONTROLS.name} does not fit the topics ({fault}); partition counts "
            "are fixed at genesis: use another OUTCRY_TOPIC_PREFIX"
        )
    exchange.publish(CONTROLS.name, 0, "", genesis)
    return genesis, True


def require_instrument(genesis: Genesis, ticker: str) -> Instrument:
    """The rules of a ticker.

    Raises:
        UnknownError: it is not traded here.
    """
    for instrument in genesis.instruments:
        if instrument.ticker == ticker:
            return instrument
    traded = ", ".join(instrument.ticker for instrument in genesis.instruments)
    raise UnknownError(f"no ticker is named {ticker[:40]!r}: {traded} are traded here")


def partition_of(genesis: Genesis, ticker: str) -> int:
    """Where in `orders` a command about this ticker goes.

    Ingest takes it on any; a ticker that nobody trades goes to the first, to be refused by risk.
    """
    return next((i.partition for i in genesis.instruments if i.ticker == ticker), 0)


def _usable(log: LogReader, codec: Codec) -> Iterator[Genesis]:
    for genesis in _all(log, codec):
        if not find_genesis_fault(genesis, TICKER_PARTITIONS, ACCOUNT_PARTITIONS):
            yield genesis


def _all(log: LogReader, codec: Codec) -> Iterator[Genesis]:
    start, end = log.bounds(_CONTROLS)
    for records in log.read(_CONTROLS, start, end):
        for record in records:
            try:
                payload = codec.decode(record.topic, record.value).payload
            except UndecodableError:
                continue
            if isinstance(payload, Genesis):
                yield payload
