"""The steps that make feature rows, and hold them against the fold once more."""

from collections.abc import Iterator, Sequence
from typing import Final

from services.featuresets import SETS
from services.lake.places import Lake
from services.lake.ticks import read_ticks
from services.runtime.ports import TopicPartition
from services.tools.features.backfill import Days
from services.tools.features.inputs import Fed, bars_from_lake, expected_rows
from services.tools.features.parity import Tally
from services.tools.features.run import (
    backfill_from_lake,
    backfill_from_log,
    parity_of_deployment,
)
from services.tools.features.stores import Expected, compare_lake
from services.tools.operate.connect import open_log, read_deployment
from services.tools.pipeline.errors import PipelineError
from services.tools.pipeline.order import PipelineOrder
from services.tools.pipeline.steps import Values
from services.wire.topics import TRADES

PARITY_TIMEOUT_S: Final = 60.0
"""For rows that are on their way through the stream."""


def backfill(lake: Lake, order: PipelineOrder) -> Values:
    """Fill what the order's trades give. The caller holds the lake's lock of backfills.

    Raises:
        FeaturesError: there is nothing to compute from, or other rows are there.
        LakeError: a file is damaged.
        UnreachableError: a part of the stack does not answer.
    """
    name, tickers = order.plan.data.feature_set, order.plan.data.tickers or None
    fill = backfill_from_lake if order.source == "lake" else backfill_from_log
    filled = fill(lake, name, Days(), tickers, replace=False)
    # What was written now and what stood there depends on the run, the rows do not.
    return {"computed": filled.computed}


def ends_of_trades() -> list[int]:
    """Where each partition of `trades` ends now.

    Raises:
        UnreachableError: a part of the stack does not answer.
    """
    with open_log(read_deployment()) as log:
        places = (TopicPartition(TRADES.name, number) for number in range(TRADES.partitions))
        return [log.bounds(place)[1] for place in places]


def hold_parity(lake: Lake, order: PipelineOrder) -> Values:
    """Fold everything trade by trade again and compare with `==`.

    Raises:
        PipelineError: a row differs, is missing or is too many.
        LakeError: a file is damaged.
        UnreachableError: a part of the stack does not answer.
    """
    name = order.plan.data.feature_set
    if order.source == "kafka":
        report = parity_of_deployment(
            order.home,
            [name],
            with_stores=True,
            # A model is trained of rows; what others were given before is no part of it.
            with_served=False,
            timeout_s=PARITY_TIMEOUT_S,
        )
        tallies, holds = report.tallies, report.holds
    else:
        tallies = [_compare_history(lake, name, order.plan.data.tickers)]
        holds = tallies[0].holds and tallies[0].matched > 0
    if not holds:
        raise PipelineError(f"step parity: {_first_difference(tallies)}")
    return {"matched": {tally.place: tally.matched for tally in tallies}}


def _compare_history(lake: Lake, name: str, tickers: Sequence[str]) -> Tally:
    """Of these tickers alone, as the backfill made them; none named: of all."""
    feature_set = SETS[name]
    of_trades = feature_set.source == "trades"
    dataset, feed = ("trades", _trades) if of_trades else ("bars/1d", bars_from_lake)
    expected = Expected()
    for ticker in tickers or lake.tickers(dataset):
        for row in expected_rows(feature_set, feed(lake, ticker)):
            expected.note(feature_set, row)
    # Rows of the stream follow from the log; `outcry features parity` compares those.
    return compare_lake(lake, feature_set, expected, {})


def _trades(lake: Lake, ticker: str) -> Iterator[Fed]:
    """One by one, where a backfill takes whole columns."""
    return (Fed(ticker, tick, tick.time_us) for tick in read_ticks(lake, ticker))


def _next_step(tally: Tally) -> str:
    if tally.place == "lake":
        command = f"outcry features backfill --set {tally.feature_set} --replace"
        return f"make the rows anew (`{command}`) and run it again"
    return (
        f"see `outcry features parity --set {tally.feature_set}`; rows that are only behind are on"
        " their way, so run it again once the materializer has caught up"
    )


def _first_difference(tallies: list[Tally]) -> str:
    for tally in tallies:
        if not tally.holds:
            counts = {
                field: count
                for field in ("mismatched", "missing", "extra", "behind")
                if (count := getattr(tally, field))
            }
            spelled = ", ".join(f"{count:,} {field}" for field, count in counts.items())
            first = f"; {tally.differences[0]}" if tally.differences else ""
            where = f"{tally.place} of {tally.feature_set}"
            return f"{where}: {spelled}{first}; {_next_step(tally)}"
    return "there are no rows to compare: ingest trades (`outcry history ingest`) or trade"
