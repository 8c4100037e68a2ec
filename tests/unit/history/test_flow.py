"""The lake's trades through ingest, risk and matcher in memory: printed as the lake has them."""

from datetime import date
from pathlib import Path
from random import Random

import numpy as np

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.controls import SetMark
from services.domain.events import ExecutionReport, Trade
from services.lake.files import read_file
from services.lake.places import Lake
from services.lake.sides import TickRule
from services.tools.history.deployment import StreamDeployment, stream_genesis
from services.tools.history.flow import Days, Print, opening_mark, plan, prints
from services.tools.history.ingest import ingest_file
from services.tools.history.session import SessionAsked, ingest_session
from services.tools.history.source import Asked
from services.tools.history.stream import compare
from services.tools.market.genesis import replay_controls
from services.tools.market.sample import make_session, write_session
from services.tools.operate.connect import Deployment
from services.wire.topics import CONTROLS, EXECUTIONS, ORDERS, TRADES
from tests.support.memory_exchange import MemoryExchange

ALWAYS = Days()


def streamed(lake: Lake, tickers: list[str]) -> MemoryExchange:
    """An exchange that got the whole plan."""
    exchange = MemoryExchange()
    exchange.publish(CONTROLS.name, 0, "", stream_genesis(tickers, "test"))
    for ticker in tickers:
        mark = SetMark(f"mark-{ticker}", ticker, opening_mark(lake, ticker, ALWAYS))
        exchange.publish(CONTROLS.name, 0, "", mark)
    exchange.publish(CONTROLS.name, 0, "", replay_controls(tickers[0], 1)[1])
    exchange.run()
    for move in plan(lake, tickers, ALWAYS):
        value = exchange.codec.encode_command(ORDERS.name, move.command, move.time_us)
        exchange.publish_raw(ORDERS.name, 0, value)
    exchange.run()
    return exchange


def printed(exchange: MemoryExchange, ticker: str) -> list[tuple[Print, Trade]]:
    found = []
    for record in exchange.records(TRADES.name):
        decoded = exchange.codec.decode(record.topic, record.value)
        trade, origin = decoded.payload, decoded.origin
        assert isinstance(trade, Trade)
        assert origin is not None
        if trade.ticker == ticker:
            key = (trade.ticker, origin.time_us, trade.price, trade.quantity, trade.aggressor_side)
            found.append((Print(*key), trade))
    return found


def written(folder: Path, lines: list[str], header: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_bare_trades_of_some_tickers_are_printed_as_the_file_has_them(tmp_path: Path) -> None:
    chance = Random(5)
    lines = [
        f"{chance.choice(['AAPL', 'AMZN', 'MSFT'])},2024-01-0{2 + at // 150}T14:30:"
        f"{at // 3 % 60:02}Z,{chance.randrange(1, 300)}.{chance.randrange(10_000):04},"
        f"{chance.randrange(1, 500)},{chance.choice(['buy', 'sell', ''])},"
        for at in range(300)
    ]
    lake = Lake(tmp_path)
    report = ingest_file(
        lake, written(tmp_path, lines, "ticker,time,price,size,side,bid"), "trades", Asked()
    )
    assert report.kept > 290
    tickers = lake.tickers("trades")
    exchange = streamed(lake, tickers)
    for ticker in tickers:
        found = [key for key, _ in printed(exchange, ticker)]
        assert found == list(prints(lake, ticker, ALWAYS))
        held = [
            (row["price"], row["quantity"], row["aggressor_side"])
            for day in lake.days("trades", ticker)
            for row in read_file(lake.trades(ticker, day), "trades").to_pylist()
        ]
        told = [(key.price, key.quantity, key.aggressor_side) for key in found]
        assert [(p, q) for p, q, _ in told] == [(p, q) for p, q, _ in held]
        assert all(side == was for (*_, side), (*_, was) in zip(told, held, strict=True) if was)


def test_the_tick_rule_goes_on_where_it_stopped_and_believes_what_it_is_told() -> None:
    chance = Random(11)
    price = [chance.randrange(100, 104) for _ in range(400)]
    told = [chance.choice([0, 0, 0, 1, -1]) for _ in range(400)]
    side, before, must = 1, price[0], []
    for now, said in zip(price, told, strict=True):
        side = said or (side if now == before else 1 if now > before else -1)
        before = now
        must.append(side)
    for size in (1, 3, 400):
        rule, sides = TickRule(), []
        for at in range(0, 400, size):
            run = np.array(price[at : at + size]), np.array(told[at : at + size])
            sides += rule.sides(*run).tolist()
        assert sides == must


def test_no_order_is_refused_and_no_cancel_but_of_what_was_filled_meanwhile(tmp_path: Path) -> None:
    lines = [f"AAPL,2024-01-02T14:30:{at:02}Z,187.2{at % 7},1{at},{at % 3 - 1}" for at in range(40)]
    lake = Lake(tmp_path)
    ingest_file(lake, written(tmp_path, lines, "ticker,time,price,size,side"), "trades", Asked())
    exchange = streamed(lake, ["AAPL"])
    reports = [
        payload
        for record in exchange.records(EXECUTIONS.name)
        if isinstance(payload := exchange.codec.decode(record.topic, record.value).payload,
                      ExecutionReport)
    ]  # fmt: skip
    assert len(reports) > 100
    refusals = {codes.EXEC_REJECTED, codes.EXEC_COMMAND_REJECTED, codes.EXEC_REPLACE_REJECTED}
    assert {report.exec_type for report in reports} & refusals == set()
    late = [report for report in reports if report.exec_type == codes.EXEC_CANCEL_REJECTED]
    assert {report.order_status for report in late} <= {codes.FILLED}


def test_quotes_that_may_stand_are_the_top_of_book_that_the_trade_shows(tmp_path: Path) -> None:
    lines = [
        "AAPL,2024-01-02T14:30:00Z,10.00,100,buy,9.99,300,10.00,50",
        "AAPL,2024-01-02T14:30:01Z,10.01,7,buy,9.99,200,10.02,10",
        "AAPL,2024-01-02T14:30:02Z,9.99,5,sell,9.98,40,10.02,10",
        "AAPL,2024-01-02T14:30:03Z,9.99,5,sell,9.99,40,10.02,10",
        "AAPL,2024-01-02T14:30:04Z,12.50,5,buy,12.51,40,12.60,10",
    ]
    header = "ticker,time,price,size,side,bid,bid_size,ask,ask_size"
    lake = Lake(tmp_path)
    assert ingest_file(lake, written(tmp_path, lines, header), "trades", Asked()).kept == 5
    found = printed(streamed(lake, ["AAPL"]), "AAPL")
    assert [key for key, _ in found] == list(prints(lake, "AAPL", ALWAYS))
    assert [(t.bid, t.bid_quantity, t.ask, t.ask_quantity) for _, t in found] == [
        (99_900, 300, 100_000, 50),
        (99_900, 200, 100_200, 10),
        (99_800, 40, 100_200, 10),
        (99_900, 40, 100_200, 10),
        (0, 0, 126_000, 10),  # a bid above the trade of a buyer can't have rested
    ]


def test_a_session_and_a_day_of_bare_trades_after_it_are_printed_with_their_books(
    tmp_path: Path,
) -> None:
    session = make_session(3, 300, 5)
    lake = Lake(tmp_path)
    message, book = write_session(session, tmp_path, "AAPL")
    ingest_session(lake, message, book, SessionAsked())
    path = written(
        tmp_path, ["AAPL,2026-01-05T15:00:00Z,187,5,sell"], "ticker,time,price,size,side"
    )
    ingest_file(lake, path, "trades", Asked())
    found = printed(streamed(lake, ["AAPL"]), "AAPL")
    assert [key for key, _ in found] == list(prints(lake, "AAPL", ALWAYS))
    held = read_file(lake.trades("AAPL", date(2026, 1, 2)), "trades").to_pylist()
    assert [(row["bid"], row["bid_quantity"], row["ask"], row["ask_quantity"]) for row in held] == [
        (t.bid, t.bid_quantity, t.ask, t.ask_quantity) for _, t in found[:-1]
    ]
    last = found[-1][1]
    assert (last.bid, last.ask, last.price) == (0, 0, 1_870_000)  # the session's orders are gone


def test_a_printed_trade_that_is_not_the_lakes_is_found(tmp_path: Path) -> None:
    lines = [f"AAPL,2024-01-02T14:30:{at:02}Z,187.2{at % 7},{at + 1}" for at in range(30)]
    kept, other = Lake(tmp_path / "kept"), Lake(tmp_path / "other")
    header = "ticker,time,price,size"
    ingest_file(kept, written(tmp_path, lines, header), "trades", Asked())
    lines[20] = lines[20].replace("187.2", "187.3")
    ingest_file(other, written(tmp_path, lines, header), "trades", Asked())
    exchange = streamed(kept, ["AAPL"])
    place = StreamDeployment(Deployment("", "", "", ""), exchange.codec, exchange.reader)
    assert compare(place, kept, ["AAPL"], ALWAYS) == (30, 30, "")
    total, equal, difference = compare(place, other, ["AAPL"], ALWAYS)
    assert (total, equal) == (30, 29)
    assert "price=1872600" in difference.partition("was printed")[0]
    assert "price=1873600" in difference.partition("was printed")[2]


def test_a_plan_is_a_function_of_the_lake_and_its_ids_differ(tmp_path: Path) -> None:
    lines = [f"{t},2024-01-0{d}T14:30:00Z,10,1" for t in ("AAPL", "MSFT") for d in (2, 3)]
    lake = Lake(tmp_path)
    ingest_file(lake, written(tmp_path, lines, "ticker,time,price,size"), "trades", Asked())
    moves = list(plan(lake, ["MSFT", "AAPL"], ALWAYS))
    assert moves == list(plan(lake, ["AAPL", "MSFT"], ALWAYS))
    assert [move.time_us for move in moves] == sorted(move.time_us for move in moves)
    ids = [m.command.client_order_id for m in moves if isinstance(m.command, PlaceOrder)]
    assert len(set(ids)) == len(ids) == 8
    only = Days(date(2024, 1, 3), date(2024, 1, 3))
    assert len(list(plan(lake, ["AAPL"], only))) == 3
