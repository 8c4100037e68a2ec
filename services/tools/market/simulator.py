"""A seeded crowd that trades: its stream is a function of the seed alone, whatever happens to it.

It is open-loop. Nobody hears back, so everybody keeps an own estimate of what rests: each order
that may rest is remembered in a list of bounded length, and the oldest is canceled when the list
is full. What rests is therefore bounded, however long it runs; some cancels come too late, as
cancels do.

One mid a ticker, the same for all accounts: a walk of single cents that drifts for a while, turns,
and returns to the opening price. Makers quote around it, informed accounts take in the direction
of its drift, noise takes and rests at random. In between come duplicates (the same bytes' meaning
again), wrong values (well-formed, and refused with a reason) and junk (undecodable, dead letters).
How they behave is a regime, which `turn` changes from one command to the next (`regimes`).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Final

import msgspec

from services.domain import codes
from services.domain.codes import BUY, SELL
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    ClientCommand,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.genesis import TICKERS
from services.domain.ids import make_order_id
from services.tools.market.mischief import junk_bytes, wrong_command
from services.tools.market.population import OPENING_CENTS, Participant, Role, participants
from services.tools.market.regimes import USUAL, Regime

CENT: Final = 100
"""One tick, in 1/10000 dollar."""

RESTING_MAX: Final[dict[Role, int]] = {
    Role.MAKER: 150,
    Role.INFORMED: 20,
    Role.NOISE: 25,
    Role.SMALL: 10,
}
"""Orders that an account believes to rest, at most, over all tickers."""

KINDS: Final = (
    "limit", "post_only", "market", "ioc", "fok", "cancel", "reduce", "replace", "cancel_all",
    "duplicate", "wrong", "junk",
)  # fmt: skip
"""What a command of the stream is, for counting."""

_RECENT: Final = 256
"""A duplicate is one of so many last commands."""
_DUPLICATES_PER_MILLE: Final = 10
_WRONG_PER_MILLE: Final = 6
_JUNK_PER_MILLE: Final = 4
_CANCEL_ALL_PER_MILLE: Final = 2
_BELIEFS_MAX: Final = 8
_MID_RANGE_PER_MILLE: Final = 20
"""How far the mid may go from the opening price."""


class Outbound(msgspec.Struct, frozen=True, gc=False):
    """One record for `orders`, before encoding."""

    index: int
    """Its place in the stream, from 0: with a rate, its intended time."""
    kind: str
    """One of KINDS."""
    key: str
    payload: ClientCommand | None
    """None: the value is `raw`."""
    raw: bytes = b""
    cut_bytes: int = 0
    """Junk: so many bytes are missing at the end of the encoded payload."""

    @property
    def is_junk(self) -> bool:
        """Whether ingest must answer with a dead letter."""
        return self.kind == "junk"


class _Mid:
    """One ticker's mid, in cents."""

    __slots__ = ("cents", "drift", "known", "opening", "reach", "steps_left")

    def __init__(self, opening: int) -> None:
        self.cents = opening
        self.opening = opening
        self.reach = opening * _MID_RANGE_PER_MILLE // 1_000
        self.drift = 0
        self.known = 0
        """By what informed accounts take: the drift that they know of."""
        self.steps_left = 0

    def move(self, draw: float, turn: float, regime: Regime) -> None:
        """One step of the walk, from two draws in [0, 1)."""
        if self.steps_left == 0:
            before, self.known = self.known, int(turn * 3) - 1
            self.drift = before if regime.is_known_ahead else self.known
            self.steps_left = regime.drift_steps
        self.steps_left -= 1
        away = self.cents - self.opening
        up = 0.06 * (1 + regime.drift_strength * self.drift - away / self.reach)
        if draw < up:
            self.cents += 1
        elif draw > 0.88 + up:
            self.cents -= 1


class _Resting:
    """One order, as its owner believes it to rest."""

    __slots__ = ("order_id", "price", "quantity", "side", "ticker")

    def __init__(self, order: PlaceOrder) -> None:
        self.order_id = make_order_id(order.account, order.client_order_id, order.ticker)
        self.ticker = order.ticker
        self.side = order.side
        self.price = order.price
        self.quantity = order.quantity


class _Trader:
    """One account and its own estimate."""

    __slots__ = ("account", "resting", "resting_max", "role")

    def __init__(self, participant: Participant) -> None:
        self.account = participant.account
        self.role = participant.role
        self.resting: deque[_Resting] = deque()
        self.resting_max = RESTING_MAX[participant.role]


class Crowd:
    """The stream of one seed. `commands` never ends; take as many as you need.

    Args:
        seed: the stream is a function of it, of what is said here and of when `turn` is called.
        regime: how it behaves at first.
        tickers: what it trades.
        shard: of whose accounts alone, see `participants`; None: of any.
    """

    def __init__(
        self,
        seed: int,
        regime: Regime = USUAL,
        tickers: Sequence[str] = TICKERS,
        shard: int | None = None,
    ) -> None:
        self.seed = seed
        self._regime = regime
        self._tickers = tuple(tickers)
        self._random = Random(seed)
        self._draw = self._random.random
        self._mids = {ticker: _Mid(OPENING_CENTS[ticker]) for ticker in self._tickers}
        traders = [_Trader(participant) for participant in participants(seed, shard)]
        self._by_role = {role: [t for t in traders if t.role is role] for role in Role}
        self._recent: deque[Outbound] = deque(maxlen=_RECENT)
        self._index = 0

    def commands(self) -> Iterator[Outbound]:
        """One record after the other, for ever."""
        while True:
            outbound = self._next()
            self._recent.append(outbound)
            yield outbound
            self._index += 1

    def turn(self, regime: Regime) -> None:
        """Behave so from the next command on."""
        self._regime = regime

    # --- what comes next ------------------------------------------------------------------

    def _next(self) -> Outbound:
        lot = int(self._draw() * 1_000)
        if lot < _DUPLICATES_PER_MILLE and self._recent:
            earlier = self._recent[int(self._draw() * len(self._recent))]
            if not earlier.is_junk:
                return Outbound(self._index, "duplicate", earlier.key, earlier.payload)
        lot -= _DUPLICATES_PER_MILLE
        if 0 <= lot < _WRONG_PER_MILLE:
            return self._wrong()
        lot -= _WRONG_PER_MILLE
        if 0 <= lot < _JUNK_PER_MILLE:
            return self._junk()
        lot -= _JUNK_PER_MILLE
        if 0 <= lot < _CANCEL_ALL_PER_MILLE:
            return self._cancel_all()
        return self._act()

    def _act(self) -> Outbound:
        ticker = self._pick(self._tickers)
        mid = self._mids[ticker]
        mid.move(self._draw(), self._draw(), self._regime)
        share = self._draw()
        if share < 0.62:
            return self._quote(self._pick(self._by_role[Role.MAKER]), ticker, mid)
        if share < 0.62 + self._regime.informed_share:
            return self._take_informed(self._pick(self._by_role[Role.INFORMED]), ticker, mid)
        role = Role.NOISE if share < 0.98 else Role.SMALL
        return self._trade_at_random(self._pick(self._by_role[role]), ticker, mid)

    def _quote(self, maker: _Trader, ticker: str, mid: _Mid) -> Outbound:
        if self._has_enough(maker):
            return self._tend(maker)
        side = BUY if self._draw() < 0.5 else SELL
        away = 1 + int(self._draw() * self._draw() * 25) + self._regime.quote_away_cents
        post_only = self._draw() < 0.5
        return self._limit(
            maker, ticker, side, mid.cents - side * away, self._lots(10), post_only=post_only
        )

    def _take_informed(self, trader: _Trader, ticker: str, mid: _Mid) -> Outbound:
        side = mid.known * self._regime.informed or (BUY if self._draw() < 0.5 else SELL)
        return self._take(trader, ticker, side, mid.cents + side * 3, self._lots(6))

    def _trade_at_random(self, trader: _Trader, ticker: str, mid: _Mid) -> Outbound:
        if self._has_enough(trader):
            return self._tend(trader)
        side = BUY if self._draw() < 0.5 else SELL
        if self._draw() < 0.6:
            return self._take(trader, ticker, side, mid.cents + side * 2, self._lots(4))
        away = int(self._draw() * 12) - 1
        return self._limit(trader, ticker, side, mid.cents - side * away, self._lots(4))

    # --- commands -------------------------------------------------------------------------

    def _limit(
        self, trader: _Trader, ticker: str, side: int, cents: int, quantity: int,
        *, post_only: bool = False,
    ) -> Outbound:  # fmt: skip
        order = self._order(trader, ticker, side, codes.LIMIT, codes.GTC, cents, quantity)
        if post_only:
            order = msgspec.structs.replace(order, post_only=True)
        trader.resting.append(_Resting(order))
        return self._out("post_only" if post_only else "limit", ticker, order)

    def _take(self, trader: _Trader, ticker: str, side: int, cents: int, quantity: int) -> Outbound:
        share = self._draw()
        if share < 0.35:
            order = self._order(trader, ticker, side, codes.MARKET, codes.IOC, 0, quantity)
            return self._out("market", ticker, order)
        if share < 0.85:
            order = self._order(trader, ticker, side, codes.LIMIT, codes.IOC, cents, quantity)
            return self._out("ioc", ticker, order)
        order = self._order(trader, ticker, side, codes.LIMIT, codes.FOK, cents, quantity)
        return self._out("fok", ticker, order)

    def _has_enough(self, trader: _Trader) -> bool:
        """Whether it leaves no further order before an old one goes; of fewer tickers fewer."""
        share = self._regime.patience * len(self._tickers) / len(TICKERS)
        return len(trader.resting) >= max(round(trader.resting_max * share), 1)

    def _tend(self, trader: _Trader) -> Outbound:
        """Room for a new order: the oldest one goes, or, now and then, another one is changed."""
        share = self._draw()
        if share < 0.90:
            oldest = self._oldest_believed_open(trader)
            cancel = CancelOrder(trader.account, self._id(), oldest.order_id)
            return self._out("cancel", oldest.ticker, cancel)
        resting = trader.resting[int(self._draw() * len(trader.resting))]
        if share < 0.95 and resting.quantity > 100:
            resting.quantity -= 100
            reduce = ReduceOrder(trader.account, self._id(), resting.order_id, resting.quantity)
            return self._out("reduce", resting.ticker, reduce)
        away = 1 + int(self._draw() * 6)
        resting.price = (self._mids[resting.ticker].cents - resting.side * away) * CENT
        replace = ReplaceOrder(
            trader.account, self._id(), resting.order_id, resting.price, resting.quantity
        )
        return self._out("replace", resting.ticker, replace)

    def _oldest_believed_open(self, trader: _Trader) -> _Resting:
        """The oldest that the mid has not passed: what it has passed was filled, most likely.

        Where that belief is wrong an order stays behind, until its owner cancels all.
        """
        oldest = trader.resting.popleft()
        for _ in range(_BELIEFS_MAX):
            mid = self._mids[oldest.ticker].cents * CENT
            if not trader.resting or oldest.side * (oldest.price - mid) < 0:
                break
            oldest = trader.resting.popleft()
        return oldest

    def _cancel_all(self) -> Outbound:
        """In one ticker, or of a noise account in all: a maker's would empty half of each book."""
        role = Role.MAKER if self._draw() < 0.5 else Role.NOISE
        trader = self._pick(self._by_role[role])
        ticker = self._pick(self._tickers) if role is Role.MAKER or self._draw() < 0.5 else ""
        trader.resting = deque(r for r in trader.resting if ticker not in ("", r.ticker))
        cancel = CancelAll(trader.account, self._id(), ticker)
        return self._out("cancel_all", ticker or trader.account, cancel)

    def _wrong(self) -> Outbound:
        trader = self._pick(self._by_role[Role.NOISE])
        ticker = self._pick(self._tickers)
        mid = self._mids[ticker]
        good = self._order(trader, ticker, BUY, codes.LIMIT, codes.IOC, mid.cents, 100)
        return self._out("wrong", ticker, wrong_command(self._random, good))

    def _junk(self) -> Outbound:
        ticker = self._pick(self._tickers)
        if self._draw() < 0.4:  # a command that was cut off on its way
            trader = self._pick(self._by_role[Role.NOISE])
            mid = self._mids[ticker]
            order = self._order(trader, ticker, BUY, codes.LIMIT, codes.IOC, mid.cents, 100)
            cut_bytes = 1 + int(self._draw() * 3)
            return Outbound(self._index, "junk", ticker, order, cut_bytes=cut_bytes)
        return Outbound(self._index, "junk", ticker, None, raw=junk_bytes(self._random))

    # --- draws ----------------------------------------------------------------------------

    def _pick[T](self, choices: Sequence[T]) -> T:
        return choices[int(self._draw() * len(choices))]

    def _lots(self, lots_max: int) -> int:
        return 100 * (1 + int(self._draw() * lots_max)) * self._regime.lots_times

    def _id(self) -> str:
        return f"s{self.seed}-{self._index}"

    def _order(
        self, trader: _Trader, ticker: str, side: int, order_type: int, time_in_force: int,
        cents: int, quantity: int,
    ) -> PlaceOrder:  # fmt: skip
        policy = int(self._draw() * 8)
        return PlaceOrder(
            account=trader.account,
            client_order_id=self._id(),
            ticker=ticker,
            side=side,
            order_type=order_type,
            time_in_force=time_in_force,
            post_only=False,
            price=cents * CENT,
            quantity=quantity,
            self_trade_prevention=policy if policy in _POLICIES else codes.CANCEL_RESTING,
        )

    def _out(self, kind: str, key: str, payload: ClientCommand) -> Outbound:
        return Outbound(self._index, kind, key, payload)


def turning(crowd: Crowd, after: int, regime: Regime) -> Iterator[Outbound]:
    """Its commands; the first so many as it behaved before, the others by another regime."""
    commands = crowd.commands()
    yield from islice(commands, after)
    crowd.turn(regime)
    yield from commands


_POLICIES: Final = (codes.CANCEL_INCOMING, codes.ALLOW_SELF_TRADE)
