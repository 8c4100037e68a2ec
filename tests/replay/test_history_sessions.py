"""Whole LOBSTER sessions into the lake, and out of it through the matcher: the same trades."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from services.domain.commands import CancelAll
from services.domain.events import Trade
from services.domain.ids import make_order_id
from services.domain.origin import ACCOUNTS, CONTROLS, Origin
from services.featuresets import TRADE_SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.ticks import Tick
from services.lake.files import read_file
from services.lake.places import Lake
from services.matcher.core import MatcherCore
from services.tools.features.backfill import Days as AllDays
from services.tools.features.inputs import Fed, expected_rows
from services.tools.features.run import backfill_from_lake
from services.tools.features.stores import Expected, compare_lake
from services.tools.history.flow import Days, Print, plan, prints
from services.tools.history.session import SessionAsked, forward, ingest_session, pair_files
from services.tools.market.genesis import replay_genesis
from services.tools.market.lobster import ACCOUNT
from services.wire.codec import Decoded
from services.wire.messages import Payload
from tests.support.optional import require_lobster

DAY = date(2012, 6, 21)
AAPL = "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz"
COLUMNS = [
    "time", "price", "quantity", "aggressor_side", "bid", "bid_quantity", "ask", "ask_quantity",
]  # fmt: skip
AMZN = "AMZN_2012-06-21_34200000_57600000_{}_5.csv.gz"


def printed_again(lake: Lake, ticker: str) -> list[Print]:
    """What the matcher prints of the lake's plan."""
    core = MatcherCore(0)
    found: list[Print] = []

    def fold(payload: Payload, topic: int, offset: int, time_us: int) -> None:
        origin = Origin(topic, 0, offset, 0, offset, time_us, time_us)
        for message in core.handle(offset, Decoded(origin, payload, time_us)):
            if isinstance(trade := message.payload, Trade):
                sizes = trade.price, trade.quantity, trade.aggressor_side
                found.append(Print(ticker, message.origin.time_us, *sizes))

    fold(replay_genesis(ticker, "history"), CONTROLS, 0, 1)
    for offset, move in enumerate(plan(lake, [ticker], Days()), start=1):
        command = move.command
        if isinstance(command, CancelAll):  # risk's to carry out, and the last of the plan
            continue
        key = getattr(command, "client_order_id", "")
        order_id = make_order_id(ACCOUNT, key, ticker) if key else ""
        fold(forward(command, order_id), ACCOUNTS, offset, move.time_us)
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "ticker,name,rows,hidden,commands,trades",
    [
        ("AAPL", AAPL, 86_616, 2_201, 131_767, 4_069),
        pytest.param("AMZN", AMZN, 155_935, 2_445, 231_489, 8_998, marks=pytest.mark.long),
    ],
)
def test_a_whole_session_is_kept_and_printed_again_from_the_lake(
    tmp_path: Path, ticker: str, name: str, rows: int, hidden: int, commands: int, trades: int
) -> None:
    message = require_lobster(name.format("message"))
    require_lobster(name.format("orderbook"))
    lake = Lake(tmp_path)
    ((message, book),) = pair_files([message])
    report = ingest_session(lake, message, book, SessionAsked())
    assert report.error == ""
    assert (report.rows_read, report.commands, report.trades) == (rows, commands, trades)
    assert report.findings["hidden_execution"].count == hidden
    assert report.kept + report.refused == rows
    kept = read_file(lake.trades(ticker, DAY), "trades")
    assert kept.num_rows == trades
    assert printed_again(lake, ticker) == list(prints(lake, ticker, Days()))
    for feature_set in TRADE_SETS.values():
        assert_a_backfill_gives_the_folds_rows(lake, ticker, feature_set, kept)


def assert_a_backfill_gives_the_folds_rows(
    lake: Lake, ticker: str, feature_set: FeatureSet[Tick], kept: pa.Table
) -> None:
    """By columns from the lake, as `outcry features backfill`, and trade by trade."""
    told = kept.select(COLUMNS).set_column(0, "time", kept.column("time").cast(pa.int64()))
    ticks = [Tick(at, *(n or 0 for n in row.values())) for at, row in enumerate(told.to_pylist())]
    fed = (Fed(ticker, tick, tick.time_us) for tick in ticks)
    must = Expected()
    for row in expected_rows(feature_set, fed):
        must.note(feature_set, row)
    filled = backfill_from_lake(lake, feature_set.name, AllDays(), None, replace=False)
    tally = compare_lake(lake, feature_set, must, {})
    assert tally.holds, tally.differences
    assert tally.matched == filled.written > 3_000
