"""A log in memory with trades, the rows that a live room would have written, and predictions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from services.domain.events import Trade
from services.domain.features import FeatureRow
from services.domain.origin import MATCHING, TRADES, Origin
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.featuresets.ticks import Tick
from services.runtime.memory import MemoryReader
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Outgoing
from services.wire import topics
from services.wire.codec import Codec, local_codec

type Written = tuple[Origin, FeatureRow]


class FeatureLog:
    """The topics `trades`, `features` and `predictions`; ticker n has partition n of the former."""

    def __init__(self, tickers: Sequence[str] = ("AAPL", "MSFT")) -> None:
        self.codec: Codec = local_codec()
        self.log = MemoryLog()
        self.tickers = tickers
        for topic in (topics.TRADES, topics.FEATURES, topics.PREDICTIONS):
            self.log.create_topic(topic.name, topic.partitions, log_append_time=False)

    @property
    def reader(self) -> MemoryReader:
        return MemoryReader(self.log)

    def trade(self, partition: int, tick: Tick) -> Tick:
        """Publish a trade; the tick as it stands on the log."""
        ticker = self.tickers[partition]
        origin = Origin(MATCHING, partition, tick.offset, 0, 0, tick.time_us, 0)
        trade = Trade(
            f"{ticker}-{tick.offset}-0", ticker, tick.price, tick.quantity, tick.side,
            "maker", "taker", "a", "b", tick.bid, tick.bid_quantity, tick.ask, tick.ask_quantity,
        )  # fmt: skip
        value = self.codec.encode(topics.TRADES.name, origin, trade)
        offset = self.log.append(Outgoing(topics.TRADES.name, partition, ticker.encode(), value))
        return Tick(offset, *(getattr(tick, name) for name in Tick.__struct_fields__[1:]))

    def publish(self, partition: int, written: Iterable[Written]) -> None:
        """Put rows on `features`."""
        for origin, row in written:
            value = self.codec.encode(topics.FEATURES.name, origin, row)
            self.log.append(Outgoing(topics.FEATURES.name, partition, row.ticker.encode(), value))


def rows_of(
    feature_set: FeatureSet[Any], ticker: str, partition: int, ticks: Iterable[Tick]
) -> Iterator[Written]:
    """What the live room writes for a ticker's trades."""
    fold = feature_set.new_fold()
    for tick in ticks:
        for index, row in enumerate(fold.step(tick)):
            yield (
                Origin(TRADES, partition, tick.offset, index, 0, tick.time_us, 0),
                FeatureRow(
                    feature_set.name, fingerprint(feature_set), ticker,
                    row.grid_time_us, row.rewind_offset, row.values,
                ),
            )  # fmt: skip
