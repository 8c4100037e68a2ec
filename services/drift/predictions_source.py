"""What models said in a stretch of event time, read from the topic `predictions`.

The log is in order of its own time, and a window is of event time. A prediction is written after
the second that it is of, also where history is replayed, so those of a window stand behind the
place where log time was its begin, less a slack for clocks that differ. Where the last of them
stands nobody knows: a room that was down catches up later. So the log is read to its end.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from services.domain.predictions import Prediction
from services.drift.core.arrays import Ints
from services.drift.core.predicted import Predictions
from services.models.classes import CLASSES
from services.runtime.errors import FatalError
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_faults import error_of, read_fault
from services.runtime.kafka_reader import KafkaReader
from services.runtime.patient_log import asked_patiently
from services.runtime.ports import LogReader, Record, TopicPartition
from services.wire.codec import Codec, UndecodableError
from services.wire.topics import PREDICTIONS

CLOCK_SLACK_MS: Final = 600_000
"""By which clocks of brokers, rooms and events may differ."""
PREDICTIONS_MAX: Final = 4_000_000
"""Read at once; some 350 MB. Windows that have more together are read apart."""
NAMES_MAX: Final = 10_000
"""Of tickers, of models and of files: a stranger who writes here must not fill the memory."""
_ANSWER_WAIT_S: Final = 10.0
_NOWHERE: Final = (float("nan"),) * CLASSES


class TooManyPredictionsError(FatalError):
    """The window does not fit into memory."""


class Stretch(NamedTuple):
    """Records of a partition: `start` included, `end` not."""

    partition: TopicPartition
    start: int
    end: int
    is_cut: bool
    """Records of the time that was asked for may have stood before, and are gone."""


class PredictionRecords(Protocol):
    """The topic's records from a log time on. Called from one thread; each method blocks.

    Raises, from every method:
        RetriableError: no broker answers.
        ConfigurationError: there is no such topic.
    """

    def stretches(self, since_ms: int) -> Sequence[Stretch]:
        """Of each partition, from the first record of this log time or a later one to its end."""
        ...

    def read(self, stretch: Stretch) -> Iterator[Sequence[Record]]:
        """Its records in order, in chunks of bounded size.

        Raises:
            HistoryLostError: retention took some of them meanwhile.
        """
        ...


def read_predictions(
    records: PredictionRecords, codec: Codec, begin_us: int, end_us: int
) -> Predictions:
    """All that was said of the grid times from `begin_us` on and before `end_us`.

    Raises:
        TooManyPredictionsError: more than PREDICTIONS_MAX.
        OperatingError: as `records` does.
    """
    columns = _Columns()
    is_cut = False
    for stretch in records.stretches(begin_us // 1_000 - CLOCK_SLACK_MS):
        is_cut |= stretch.is_cut
        for chunk in records.read(stretch):
            for record in chunk:
                try:
                    said: Prediction = codec.decode(PREDICTIONS.name, record.value).payload
                except UndecodableError:
                    columns.undecodable += 1
                    continue
                if begin_us <= said.grid_time_us < end_us:
                    columns.add(said)
    return columns.made(is_cut=is_cut)


class _Names:
    """Places of names, as they come."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._places: dict[str, int] = {}

    def place(self, name: str) -> int:
        if name not in self._places and len(self._places) >= NAMES_MAX:
            raise TooManyPredictionsError(
                f"predictions name more than {NAMES_MAX:,} {self._what}: somebody else writes to"
                f" the topic {PREDICTIONS.name}"
            )
        return self._places.setdefault(name, len(self._places))

    def in_order(self, places: "array[int]") -> tuple[tuple[str, ...], Ints]:
        """The names in alphabetical order, and these places among them.

        So the same records give the same columns, whichever was read first.
        """
        names = tuple(sorted(self._places))
        rank = np.zeros(len(names), dtype=np.int64)
        for new, name in enumerate(names):
            rank[self._places[name]] = new
        return names, rank[np.array(places, dtype=np.int64)]


class _Columns:
    """Columns that grow: 72 bytes a prediction."""

    def __init__(self) -> None:
        self.undecodable = 0
        self._tickers, self._models, self._files = map(_Names, ("tickers", "models", "files"))
        self._ticker, self._model, self._file = array("q"), array("q"), array("q")
        self._grid_time_us, self._served_at_us = array("q"), array("q")
        self._version, self._said = array("q"), array("q")
        self._is_shadow = array("b")
        self._probabilities = array("d")

    def add(self, said: Prediction) -> None:
        if len(self._ticker) >= PREDICTIONS_MAX:
            raise TooManyPredictionsError(
                f"more than {PREDICTIONS_MAX:,} predictions in one window; take a shorter one"
            )
        self._ticker.append(self._tickers.place(said.ticker))
        self._model.append(self._models.place(said.model))
        self._file.append(self._files.place(said.model_sha256))
        self._grid_time_us.append(said.grid_time_us)
        self._served_at_us.append(said.served_at_us)
        self._version.append(said.model_version)
        self._said.append(said.predicted_class)
        self._is_shadow.append(said.is_shadow)
        stated = said.probabilities
        self._probabilities.extend(stated if len(stated) == CLASSES else _NOWHERE)

    def made(self, *, is_cut: bool) -> Predictions:
        tickers, ticker = self._tickers.in_order(self._ticker)
        models, model = self._models.in_order(self._model)
        shas, sha = self._files.in_order(self._file)
        return Predictions(
            tickers=tickers,
            models=models,
            shas=shas,
            ticker=ticker,
            model=model,
            sha=sha,
            grid_time_us=np.array(self._grid_time_us, dtype=np.int64),
            version=np.array(self._version, dtype=np.int64),
            is_shadow=np.array(self._is_shadow, dtype=np.bool_),
            said=np.array(self._said, dtype=np.int64),
            probabilities=np.array(self._probabilities).reshape(len(ticker), CLASSES),
            served_at_us=np.array(self._served_at_us, dtype=np.int64),
            undecodable=self.undecodable,
            is_cut=is_cut,
        )


class KafkaPredictionRecords:
    """`PredictionRecords` on Kafka: outside any group, one partition after another."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._reader: LogReader = KafkaReader(connection)
        self._asker: Consumer = Consumer(
            # Required by librdkafka; nothing joins it and nothing is committed.
            connection.reader_config() | {"group.id": f"{connection.prefix}drift"}
        )

    def stretches(self, since_ms: int) -> Sequence[Stretch]:
        """Asks the brokers for the offsets of that time."""
        name = self._connection.prefix + PREDICTIONS.name
        wanted = [
            # Kafka knows no time before 1970.
            KafkaPartition(name, partition, max(since_ms, 0))
            for partition in range(PREDICTIONS.partitions)
        ]
        made = []
        # Of a topic that was made just now, no broker may be the leader yet.
        for place in asked_patiently(lambda: self._offsets_of(wanted), _ANSWER_WAIT_S):
            at = TopicPartition(PREDICTIONS.name, place.partition)
            first, end = self._reader.bounds(at)
            made.append(stretch_of(at, place.offset, first, end))
        return made

    def _offsets_of(self, wanted: Sequence[KafkaPartition]) -> Sequence[KafkaPartition]:
        doing = f"asking for offsets of a time in {wanted[0].topic}"
        try:
            found = self._asker.offsets_for_times(list(wanted), _ANSWER_WAIT_S)
        except KafkaException as error:
            raise read_fault(error_of(error), doing) from error
        for place in found:
            if place.error is not None:
                raise read_fault(place.error, doing)
        return found

    def read(self, stretch: Stretch) -> Iterator[Sequence[Record]]:
        """In chunks, as `KafkaReader` gives them."""
        return self._reader.read(stretch.partition, stretch.start, stretch.end)

    def close(self) -> None:
        """Give up the connections. Never raises."""
        self._reader.close()
        try:
            self._asker.close()
        except (KafkaException, RuntimeError) as error:
            self._connection.on_client_error(f"closing the reader of predictions: {error}")


def stretch_of(at: TopicPartition, found: int, first: int, end: int) -> Stretch:
    """From what a broker says of a partition.

    Args:
        at: the partition.
        found: offset of the first record of the time or later; negative: there is none.
        first: offset of the first record that is still there.
        end: where the next record would come.
    """
    start = end if found < 0 else max(found, first)
    # Where retention has been at work and nothing older is left, records of that time may be gone.
    return Stretch(at, start, end, is_cut=0 < first == start)
