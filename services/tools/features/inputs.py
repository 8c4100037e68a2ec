"""What the folds are fed one by one, trades of the log and bars of the lake, and what follows."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

import msgspec

from services.domain.events import Trade
from services.featuresets.bars import Bar
from services.featuresets.definitions import FeatureSet
from services.featuresets.ticks import Tick
from services.lake.places import Lake
from services.lake.reading import read_bars
from services.runtime.ports import LogReader, TopicPartition
from services.wire.codec import Codec, Decoded, UndecodableError
from services.wire.topics import TRADES

_EPOCH: Final = date(1970, 1, 1)
_DAY_US: Final = 86_400_000_000


class Fed(msgspec.Struct, frozen=True, gc=False):
    """One input of a fold."""

    ticker: str
    given: Any
    """A Tick, or a Bar."""
    time_us: int
    """When it was known: a trade's time."""


class ExpectedRow(msgspec.Struct, frozen=True, gc=False):
    """A row as the fold makes it, with what closed it."""

    ticker: str
    grid_time_us: int
    created_us: int
    closing_offset: int
    index: int
    """Which of the rows that this trade closed it is, from 0."""
    rewind_offset: int
    values: tuple[int | None, ...]


class LogRow(NamedTuple):
    """A row that follows from the log's trades."""

    feature_set: FeatureSet[Any]
    row: ExpectedRow
    is_provable: bool
    """Whether it depends on none of the trades that retention took."""


class LogTrades:
    """What the log has of a partition's trades at one moment. Read what follows from them later.

    Args:
        end: how far to read; None: to where the log ends now.
        start: where to begin, to fold a row from where it can be; None: with the first that is
            there.

    Raises:
        RetriableError: the broker does not answer.
    """

    def __init__(
        self,
        log: LogReader,
        codec: Codec,
        partition: int,
        end: int | None = None,
        *,
        start: int | None = None,
    ) -> None:
        self._log = log
        self._codec = codec
        self._at = TopicPartition(TRADES.name, partition)
        now_first, now_end = log.bounds(self._at)
        self.first = now_first if start is None else start
        self.end = now_end if end is None else end

    @property
    def is_cut(self) -> bool:
        """Whether retention took the beginning, so that a fold does not know what was before."""
        return self.first > 0

    @property
    def has_any(self) -> bool:
        """Whether there may be trades."""
        return self.end > self.first

    def rows(self, sets: Sequence[FeatureSet[Any]]) -> Iterator[LogRow]:
        """The rows that follow, of these sets, in one reading; of each set in order of time.

        Raises:
            RetriableError: the broker does not answer.
            HistoryLostError: retention took trades meanwhile.
        """
        folds = [(feature_set, _Folds(feature_set)) for feature_set in sets]
        held_up_to: dict[str, int] = {}
        for fed in self._fed():
            # As the live room holds it after a gap: a row that begins with the first trade here
            # may depend on what was before.
            first = held_up_to.setdefault(fed.ticker, fed.given.offset if self.is_cut else -1)
            for feature_set, of_set in folds:
                for row in of_set.step(fed):
                    yield LogRow(feature_set, row, row.rewind_offset > first)

    def _fed(self) -> Iterator[Fed]:
        """What is no trade is passed over, as the feature room does."""
        for chunk in self._log.read(self._at, self.first, self.end):
            for record in chunk:
                try:
                    decoded: Decoded[Trade] = self._codec.decode(TRADES.name, record.value)
                except UndecodableError:
                    continue
                assert decoded.origin is not None, "each schema of trades has an origin"
                trade = decoded.payload
                tick = Tick(
                    record.offset, decoded.origin.time_us, trade.price, trade.quantity,
                    trade.aggressor_side,
                    trade.bid, trade.bid_quantity, trade.ask, trade.ask_quantity,
                )  # fmt: skip
                yield Fed(trade.ticker, tick, tick.time_us)


class _Folds:
    """A set's folds, one a ticker."""

    def __init__(self, feature_set: FeatureSet[Any]) -> None:
        self._feature_set = feature_set
        self._folds: dict[str, Any] = {}

    def step(self, fed: Fed) -> Iterator[ExpectedRow]:
        fold = self._folds.get(fed.ticker)
        if fold is None:
            fold = self._folds[fed.ticker] = self._feature_set.new_fold()
        for index, row in enumerate(fold.step(fed.given)):
            yield ExpectedRow(
                fed.ticker, row.grid_time_us, fed.time_us, _offset_of(fed.given), index,
                row.rewind_offset, row.values,
            )  # fmt: skip


def expected_rows(feature_set: FeatureSet[Any], inputs: Iterable[Fed]) -> Iterator[ExpectedRow]:
    """The rows that follow from the inputs, each ticker with a fold of its own."""
    folds = _Folds(feature_set)
    for fed in inputs:
        yield from folds.step(fed)


def reals(feature_set: FeatureSet[Any], row: ExpectedRow) -> tuple[float | None, ...]:
    """The row's values as the lake and the online store hold them."""
    pairs = zip(feature_set.features, row.values, strict=True)
    return tuple(feature.real(value) for feature, value in pairs)


def bars_from_lake(lake: Lake, ticker: str) -> Iterator[Fed]:
    """A ticker's daily bars of history. A bar is known at the midnight after its day.

    Raises:
        LakeError: a file is damaged or another's.
    """
    for row in read_bars(lake, "1d", ticker).to_pylist():
        day = (row["time"].date() - _EPOCH).days
        yield Fed(
            ticker,
            Bar(
                day, row["open"], row["high"], row["low"], row["close"], row["volume"],
                row["split_to"] or 1, row["split_from"] or 1, _in_ticks(row["dividend"]),
            ),
            (day + 1) * _DAY_US,
        )  # fmt: skip


def _in_ticks(dollars: Decimal | None) -> int:
    """1/10000 dollar, half to even: a dividend may be stated more finely than prices are."""
    return 0 if dollars is None else int((dollars * 10_000).to_integral_value(ROUND_HALF_EVEN))


def _offset_of(given: Any) -> int:  # noqa: ANN401 - a Tick or a Bar
    return int(given.day if isinstance(given, Bar) else given.offset)
