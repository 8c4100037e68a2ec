"""A day's small streamed files become one: Feast and DuckDB pay for each file they open.

Only days that are over: a ticker's grid times rise, so no row comes to a day once a later one has
begun. The new file covers the offsets of all it was made of, and they are removed after it is in
place; a crash in between leaves rows twice, with the same values, until the next compaction.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from services.featuresets import SETS
from services.lake.files import read_file, write_file
from services.lake.places import FeatureFile, Lake, stream_file
from services.lake.schemas import feature_schema
from services.tools.features.quality import Gathered


class Compacted(msgspec.Struct):
    """What was done."""

    days: int = 0
    """Folders of a ticker and day that have fewer files now."""
    removed: int = 0
    """Files that are no more."""
    rows: int = 0


def compact(lake: Lake) -> Compacted:
    """Merge the files of each ticker's days but its newest; keep what the checks say of them.

    Hold the lake's lock for backfills.

    Raises:
        LakeError: a file is damaged, or the disk does not take one.
    """
    done = Compacted()
    for feature_set in SETS:
        quality = Gathered(SETS[feature_set], "stream")
        for ticker_files in _by_ticker(lake, feature_set):
            newest_day = ticker_files[-1][0].parent
            for folder, members in groupby(ticker_files, key=lambda found: found[0].parent):
                if folder != newest_day:
                    _compact_day(feature_set, folder, list(members), done, quality)
        quality.keep(lake)
    return done


def _by_ticker(lake: Lake, feature_set: str) -> Iterator[list[tuple[Path, FeatureFile]]]:
    streamed = [found for found in lake.feature_files(feature_set) if found[1].origin == "stream"]
    for _, members in groupby(streamed, key=lambda found: found[0].parent.parent):
        yield list(members)


def _compact_day(
    feature_set: str,
    folder: Path,
    members: list[tuple[Path, FeatureFile]],
    done: Compacted,
    quality: Gathered,
) -> None:
    for partition, group in groupby(members, key=lambda found: found[1].partition):
        parts = list(group)
        if len(parts) < 2:
            continue
        whole = pa.concat_tables([read_file(path, "features") for path, _ in parts])
        # Of what is there twice the first one, in order of time.
        times = whole.column("event_timestamp").cast(pa.int64()).to_numpy()
        merged = whole.take(np.unique(times, return_index=True)[1])
        quality.add(merged.column("ticker")[0].as_py(), merged)
        first, last = min(f.first for _, f in parts), max(f.last for _, f in parts)
        target = folder / stream_file(partition, first, last).name
        write_file(target, feature_schema(SETS[feature_set].columns), [merged])
        for path, _ in parts:
            if path != target:
                path.unlink()
                done.removed += 1
        done.days += 1
        done.rows += merged.num_rows
