import msgspec
import pytest

from services.domain.genesis import default_genesis
from services.runtime.errors import ConfigurationError
from services.tools.operate.errors import UnknownError
from services.tools.operate.genesis import (
    ensure_genesis,
    find_genesis,
    partition_of,
    require_genesis,
    require_instrument,
)
from tests.support.memory_exchange import MemoryExchange

GENESIS = default_genesis("first")
OTHER = default_genesis("second")


def test_a_genesis_is_published_once_and_then_left_alone() -> None:
    exchange = MemoryExchange()
    assert find_genesis(exchange.reader, exchange.codec) is None
    assert ensure_genesis(exchange.reader, exchange.codec, exchange, GENESIS) == (GENESIS, True)
    assert ensure_genesis(exchange.reader, exchange.codec, exchange, OTHER) == (GENESIS, False)
    assert require_genesis(exchange.reader, exchange.codec) == GENESIS
    assert len(exchange.records("controls")) == 1


def test_the_genesis_published_is_the_one_the_folds_take() -> None:
    exchange = MemoryExchange()
    exchange.publish_raw("controls", 0, b"a stranger's junk came first")
    ensure_genesis(exchange.reader, exchange.codec, exchange, GENESIS)
    exchange.begin(OTHER, accounts=("ann",))
    assert find_genesis(exchange.reader, exchange.codec) == GENESIS
    copies = [exchange.codec.decode("accounts", r.value) for r in exchange.records("accounts")]
    assert copies[0].payload == GENESIS


@pytest.mark.parametrize("account_partitions", [0, 3, 5])
def test_a_genesis_with_other_partition_counts_than_the_topics_is_refused(
    account_partitions: int,
) -> None:
    exchange = MemoryExchange()
    genesis = msgspec.structs.replace(GENESIS, account_partitions=account_partitions)
    with pytest.raises(ConfigurationError, match="can't be used: account_partitions is not"):
        ensure_genesis(exchange.reader, exchange.codec, exchange, genesis)
    assert not exchange.records("controls")


def test_a_genesis_in_the_log_that_does_not_fit_the_topics_is_refused_at_start() -> None:
    exchange = MemoryExchange()
    exchange.publish("controls", 0, "", msgspec.structs.replace(GENESIS, account_partitions=8))
    with pytest.raises(ConfigurationError, match="use another OUTCRY_TOPIC_PREFIX"):
        ensure_genesis(exchange.reader, exchange.codec, exchange, GENESIS)


def test_without_a_genesis_the_next_step_is_said() -> None:
    exchange = MemoryExchange()
    with pytest.raises(UnknownError, match="start the exchange with `outcry up`"):
        require_genesis(exchange.reader, exchange.codec)


def test_tickers_are_those_of_the_genesis() -> None:
    assert require_instrument(GENESIS, "NVDA").partition == partition_of(GENESIS, "NVDA") == 4
    assert partition_of(GENESIS, "NONE") == 0
    with pytest.raises(UnknownError, match=r"'NONE': AAPL, MSFT, GOOGL, TSLA, NVDA are traded"):
        require_instrument(GENESIS, "NONE")
