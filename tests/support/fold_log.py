"""Fold a recorded log and print what came of it, as a program: for other interpreters, too.

    python -m tests.support.fold_log LOG [--batch N] [--only TOPIC/PARTITION ...] [--reload]

Imports nothing but the folds, so that it runs wherever msgspec and fastavro do.
"""

import argparse
import locale
import sys
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from services.ingest.service import make_folds as ingest_folds
from services.matcher.service import make_folds as matcher_folds
from services.risk.service import make_folds as risk_folds
from services.runtime.ports import Fold, Outgoing, Record, TopicPartition
from services.wire.codec import local_codec

FOLDED_BY: Final = {
    "orders": ingest_folds,
    "controls": ingest_folds,
    "accounts": risk_folds,
    "matching": matcher_folds,
}


class Folded(msgspec.Struct):
    """What came of one input partition. Hashes are hexadecimal BLAKE2b."""

    records: int
    outputs: int
    state: str
    outputs_hash: str
    """Of every output of every record, in order, with where each goes."""
    views: dict[int, str]
    """By the offset after which it was taken."""


class Partition:
    """One input partition and its fold."""

    def __init__(self, at: TopicPartition, records: Sequence[Record], *, reload: bool) -> None:
        self._at = at
        self._records = records
        self._factory = FOLDED_BY[at.topic](local_codec(), lambda _record, _error: None)
        self._fold: Fold = self._factory.fresh(at)
        self._reload = reload and self._factory.stateful
        self._next = 0
        self._outputs = 0
        self._digest = blake2b()
        self._views: dict[int, str] = {}

    def fold_batch(self, records_max: int) -> bool:
        """One batch, as the loop would; whether there was one."""
        batch = self._records[self._next : self._next + records_max]
        self._next += len(batch)
        for record in batch:
            for outgoing in self._fold.handle(record):
                self._outputs += 1
                self._digest.update(_bytes_of(outgoing))
        if batch:
            view = b"".join(map(_bytes_of, self._fold.at_batch_end()))
            if view:
                self._views[batch[-1].offset] = blake2b(view).hexdigest()
            if self._reload:
                self._fold = self._factory.load(self._at, self._fold.dump())
        return bool(batch)

    def result(self) -> Folded:
        """After the last batch."""
        state = blake2b(self._fold.dump()).hexdigest() if self._factory.stateful else ""
        return Folded(
            len(self._records), self._outputs, state, self._digest.hexdigest(), self._views
        )  # fmt: skip


def _bytes_of(outgoing: Outgoing) -> bytes:
    return msgspec.msgpack.encode(outgoing)


def fold(records: Sequence[Record], batch: int, only: Sequence[str], *, reload: bool) -> Any:  # noqa: ANN401 - JSON
    """All partitions of a log, or only some, batch by batch in turn."""
    by_place: dict[TopicPartition, list[Record]] = {}
    for record in records:
        by_place.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
    partitions = {
        f"{at.topic}/{at.partition}": Partition(at, found, reload=reload)
        for at, found in sorted(by_place.items())
        if not only or f"{at.topic}/{at.partition}" in only
    }
    working = list(partitions.values())
    while working:
        working = [partition for partition in working if partition.fold_batch(batch)]
    return {name: partition.result() for name, partition in partitions.items()}


def main() -> None:
    """Read the arguments, fold, print JSON; and on standard error the locale in force."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--reload", action="store_true")
    arguments = parser.parse_args()
    locale.setlocale(locale.LC_ALL, "")
    sys.stderr.write(f"locale {locale.setlocale(locale.LC_NUMERIC)}")
    records = msgspec.msgpack.decode(arguments.log.read_bytes(), type=list[Record])
    found = fold(records, arguments.batch, arguments.only, reload=arguments.reload)
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
