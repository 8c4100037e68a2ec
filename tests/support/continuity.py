"""A client that follows trades, books and its executions across any number of gateways' deaths.

What it heard is compared with the records of the topics themselves.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from threading import Event, Thread
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.gateway.views import View, book_view, report_view, trade_view
from services.wire.codec import Codec, Decoded
from services.wire.topics import BOOK, EXECUTIONS, TRADES, Topic
from tests.support.trading_path import MARK, TradingPath

WAIT_S: Final = 60
_PAUSE_S: Final = 0.1
NUMBERS: Final = {"trades": "trade_sequence", "executions": "account_sequence"}
"""By which member each message of a channel is told from the one before."""

type Place = tuple[str, str]
"""A channel and its ticker; of executions, the account."""


def series_fault(heard: Sequence[View], recorded: Sequence[View], member: str) -> str:
    """What is wrong with what was heard of one ticker or account; empty: nothing."""
    for at, (got, kept) in enumerate(zip(heard, recorded, strict=False)):
        if got[member] != kept[member]:
            what = "a gap" if got[member] > kept[member] else "a repeat"
            return f"{what}: {member} {got[member]} at place {at}, where {kept[member]} belongs"
        if got != kept:
            return f"{member} {got[member]} is not what the topic says: {got} and not {kept}"
    if len(heard) != len(recorded):
        return f"heard {len(heard)} of {len(recorded)}"
    return ""


def book_fault(heard: Sequence[View], recorded: Mapping[int, View]) -> str:
    """The same of a ticker's book: each state that of its offset, and never back."""
    for before, got in zip([None, *heard], heard, strict=False):
        if before is not None and got["offset"] < before["offset"]:
            return f"the book went back from {before['offset']} to {got['offset']}"
        if got != recorded.get(got["offset"]):
            return f"no such book at offset {got['offset']}"
    if heard and heard[-1]["offset"] != max(recorded):
        return f"the last book is of {heard[-1]['offset']} and not {max(recorded)}"
    return "" if heard else "no book was heard"


def changed_book(book: View, message: Mapping[str, Any]) -> View:
    """The book that an update makes of the one before."""
    change = message["data"]
    sides = {}
    for name in ("bids", "asks"):
        levels = {level["price"]: level for level in (*book[name], *change[name])}
        left = [level for level in levels.values() if level["quantity"]]
        sides[name] = sorted(
            left, key=lambda level: Decimal(level["price"]), reverse=name == "bids"
        )
    return {**book, **change, **sides, "offset": message["sequence"]}


class Follower:
    """Subscribes, and subscribes again from where it was, wherever it is let in.

    Args:
        port: of the gateway to go to now.
    """

    def __init__(self, account: str, tickers: Sequence[str], port: Callable[[], int]) -> None:
        self._account = account
        self._port = port
        self._places: list[Place] = [("executions", account)]
        self._places += [(channel, each) for each in tickers for channel in ("trades", "book")]
        self.heard: dict[Place, list[View]] = {place: [] for place in self._places}
        self.resumed = 0
        """How often it was told what it had missed."""
        self.faults: list[str] = []

    def newest(self, place: Place) -> int:
        """The number of the last one heard."""
        heard = self.heard[place]
        member = NUMBERS.get(place[0], "offset")
        return int(heard[-1][member]) if heard else 0

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            try:
                url = f"ws://127.0.0.1:{self._port()}/ws?account={self._account}"
                async with connect(url, open_timeout=WAIT_S) as socket:
                    await self._listen(socket)
            except (OSError, WebSocketException):
                await asyncio.sleep(_PAUSE_S)

    async def _listen(self, socket: ClientConnection) -> None:
        for place in self._places:
            await self._subscribe(socket, place)
        numbered: dict[Place, int] = {}
        async for said in socket:
            message = json.loads(said)
            if message["type"] == "heartbeat":
                continue
            if message["type"] == "error":
                # Not read so far yet. The error says which one was meant; all begin anew all the
                # same, as a client does whose connection has ended.
                assert message["reason"] in ("STARTING", "UNKNOWN_TICKER"), message
                await asyncio.sleep(_PAUSE_S)
                return
            place = (message["channel"], message.get("ticker", self._account))
            if place[0] == "book":
                self.take_book(place, message)
                continue
            if message["sequence"] != numbered.get(place, -1) + 1:
                self.faults.append(f"{place}: message {message['sequence']} after {numbered}")
            numbered[place] = message["sequence"]
            self._take(place, message)

    async def _subscribe(self, socket: ClientConnection, place: Place) -> None:
        asked: dict[str, Any] = {"op": "subscribe", "channel": place[0]}
        if place[0] != "executions":
            asked["ticker"] = place[1]
        if place[0] in NUMBERS or self.heard[place]:
            asked["after"] = self.newest(place)
        await socket.send(json.dumps(asked))

    def take_book(self, place: Place, message: dict[str, Any]) -> None:
        """Hear a message about a ticker's book."""
        heard = self.heard[place]
        if message["type"] in ("snapshot", "resync"):
            heard.append(message["data"])
            return
        stands_on = message["previous" if message["type"] == "update" else "sequence"]
        if not heard or stands_on != heard[-1]["offset"]:
            self.faults.append(f"{place}: {message['type']} of {stands_on}, which is not there")
        elif message["type"] == "update":
            heard.append(changed_book(heard[-1], message))

    def _take(self, place: Place, message: dict[str, Any]) -> None:
        match message["type"]:
            case "resumed":
                self.resumed += 1
            case "resync":
                self.faults.append(f"{place} can't be resumed after {self.newest(place)}")
            case _:
                self.heard[place].append(message["data"])


class Topics(msgspec.Struct, frozen=True):
    """What the topics hold, as the gateway spells it."""

    trades: dict[str, list[View]]
    executions: dict[str, list[View]]
    books: dict[str, dict[int, View]]

    def faults_of(self, follower: Follower) -> list[str]:
        """Everything in which what was heard is not this."""
        found = list(follower.faults)
        for (channel, name), heard in follower.heard.items():
            match channel:
                case "trades":
                    fault = series_fault(heard, self.trades[name], NUMBERS[channel])
                case "executions":
                    fault = series_fault(heard, self.executions[name], NUMBERS[channel])
                case _:
                    fault = book_fault(heard, self.books[name])
            found += [f"{channel} {name}: {fault}"] if fault else []
        return found


def read_topics(bootstrap: str, prefix: str, codec: Codec) -> Topics:
    """Everything committed of the three feeds, from their beginning."""
    found = Topics({}, {}, {})
    for decoded in _records(bootstrap, prefix, codec, TRADES):
        found.trades.setdefault(decoded.payload.ticker, []).append(trade_view(decoded))
    for decoded in _records(bootstrap, prefix, codec, EXECUTIONS):
        if decoded.payload.account_sequence:
            reports = found.executions.setdefault(decoded.payload.account, [])
            reports.append(report_view(decoded))
    for decoded in _records(bootstrap, prefix, codec, BOOK):
        assert decoded.origin is not None
        books = found.books.setdefault(decoded.payload.ticker, {})
        books[decoded.origin.offset] = book_view(decoded)
    return found


def _records(bootstrap: str, prefix: str, codec: Codec, topic: Topic) -> list[Decoded[Any]]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "continuity",  # required by the library; nothing joins or commits
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    name = prefix + topic.name
    consumer.assign([TopicPartition(name, p, 0) for p in range(topic.partitions)])
    found: list[Decoded[Any]] = []
    ended = 0
    while ended < topic.partitions:
        message = consumer.poll(WAIT_S)
        assert message is not None, f"{topic.name} can't be read to its end"
        error = message.error()
        if error is None:
            found.append(codec.decode(topic.name, message.value()))
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error
            ended += 1
    consumer.close()
    return found


class Flow:
    """Pairs of orders that meet, written to the log itself by a thread until stopped."""

    TICKERS: Final = ("AAPL", "MSFT")

    def __init__(self, path: TradingPath) -> None:
        self._path = path
        self._stop = Event()
        self._thread = Thread(target=self._write, daemon=True)
        self.pairs = 0
        self._thread.start()

    def _write(self) -> None:
        while not self._stop.wait(0.05):
            ticker = self.TICKERS[self.pairs % len(self.TICKERS)]
            for account, side in (("bob", codes.SELL), ("alice", codes.BUY)):
                self._path.send(_order_of(account, f"flow-{self.pairs}", ticker, side))
            self.pairs += 1

    def stop(self) -> None:
        """End, and wait until risk has answered the last one."""
        self._stop.set()
        self._thread.join()
        self._path.report(f"flow-{self.pairs - 1}")


def _order_of(account: str, client_order_id: str, ticker: str, side: int) -> PlaceOrder:
    return PlaceOrder(
        account=account, client_order_id=client_order_id, ticker=ticker, side=side,
        order_type=codes.LIMIT, time_in_force=codes.GTC, post_only=False, price=MARK, quantity=1,
        self_trade_prevention=codes.CANCEL_RESTING,
    )  # fmt: skip
