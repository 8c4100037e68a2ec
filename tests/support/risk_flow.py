"""A small crowd driven by small numbers: whatever they are, the flow is legal and races a lot.

Hypothesis draws the numbers, or a seeded generator. Values are chosen so that limits, the collar
and the short rule are met often, and orders cross often.
"""

from random import Random
from typing import Final

from services.domain import codes
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    ClientCommand,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import (
    Deposit,
    Halt,
    KillSwitch,
    OpenAccount,
    Resume,
    SetLimits,
    SetMark,
)
from services.domain.ids import make_order_id
from tests.support.risk_market import RiskMarket

type Op = tuple[int, int, int, int, int, int]
"""Kind (0..99), account, object, side and style, price, size (each 0..23)."""

ACCOUNTS: Final = ("alice", "bob", "carol", "dave")
"""Two in each of two partitions; alice and dave may not sell short."""
OUTSIDER: Final = "nobody"
MARK: Final = 100_000
"""$10."""
SHARES_MAX: Final = 300
MONEY_MAX: Final = 290 * MARK
EXPOSURE_MAX: Final = 400 * MARK
STEP_US: Final = 50_000

_STYLES: Final = (
    *((codes.LIMIT, codes.GTC, False),) * 6,
    (codes.LIMIT, codes.GTC, True),
    (codes.LIMIT, codes.IOC, False),
    (codes.LIMIT, codes.FOK, False),
    (codes.MARKET, codes.IOC, False),
    (codes.MARKET, codes.IOC, False),
    (codes.MARKET, codes.GTC, False),
)


class Flow:
    """Plays operations on a market."""

    def __init__(self, market: RiskMarket, *, resend_controls: bool = True) -> None:
        self.market = market
        self.tickers = [rules.ticker for rules in market.genesis.instruments]
        self.sent: list[ClientCommand | Deposit | SetLimits | KillSwitch] = []
        self.placed: list[tuple[str, str]] = []
        """Id and account of every order, also of those that went nowhere."""
        self._resend_controls = resend_controls
        self._count = 0

    def begin(self) -> None:
        """Marks, accounts and opening positions."""
        for ticker in self.tickers:
            self.market.send(SetMark("mark", ticker, MARK))
        for account in ACCOUNTS:
            may_short = account not in {"alice", "dave"}
            limits = (SHARES_MAX, MONEY_MAX, EXPOSURE_MAX)
            self.market.send(OpenAccount("open", account, *limits, may_short))
            self.market.send(Deposit("opening", account, self.tickers[0], 150))
        self.market.drain()

    def act(self, op: Op) -> None:
        """One operation: somebody says something, or one room handles a few messages."""
        kind, who, what, style, price, size = op
        market = self.market
        market.now_us += STEP_US
        if kind < 42:
            pump, count = (
                (market.pump_matcher, len(market.matchers))
                if kind < 20
                else (market.pump_risk, len(market.shards))
            )
            for _ in range(1 + size // 4):
                pump(what % count)
        elif kind < 72:
            self._place(who, what, style, price, size)
        elif kind < 89:
            self._change(kind - 72, who, what, price, size)
        elif kind < 93 and self.sent:
            self._say_again(self.sent[-1 - what % min(len(self.sent), 8)])
        elif kind == 93 and self.sent:
            self._say_differently(self.sent[-1 - what % min(len(self.sent), 8)])
        elif kind == 94:
            self._say(CancelAll(self._account(who), self._name(), self._maybe_ticker(what)))
        elif kind < 99:
            self._control(kind, who, what, style, size)
        elif kind == 99:
            market.now_us += size * STEP_US * 10

    def finish(self) -> None:
        """Open every ticker, cancel everything, and let everybody handle everything."""
        self.market.drain()
        for ticker in self.tickers:
            self.market.send(Resume(self._name(), ticker))
        for account in ACCOUNTS:
            self._say(CancelAll(account, self._name(), ""))
        self.market.drain()

    def _account(self, who: int) -> str:
        return OUTSIDER if who == 23 else ACCOUNTS[who % len(ACCOUNTS)]

    def _maybe_ticker(self, what: int) -> str:
        return "" if what % 3 == 0 else self.tickers[what % len(self.tickers)]

    def _name(self) -> str:
        self._count += 1
        return f"c{self._count}"

    def _price(self, price: int) -> int:
        strange = {21: MARK * 13 // 10, 22: MARK + 50, 23: 0}
        return strange.get(price, MARK + (price - 10) * 400)

    def _place(self, who: int, what: int, style: int, price: int, size: int) -> None:
        order_type, time_in_force, post_only = _STYLES[style // 2]
        side = codes.BUY if style % 2 else codes.SELL
        limit = 0 if order_type == codes.MARKET else self._price(price)
        account, name = self._account(who), self._name()
        ticker = self.tickers[what % len(self.tickers)]
        self._say(
            PlaceOrder(
                account, name, ticker, side, order_type, time_in_force, post_only, limit,
                size * 5, what % 3,
            )
        )  # fmt: skip
        self.placed.append((make_order_id(account, name, ticker), account))

    def _change(self, kind: int, who: int, what: int, price: int, size: int) -> None:
        orders = list(self.market.open_orders.items())
        if who < 3:
            orders = self.placed
        if not orders:
            return
        order_id, account = orders[-1 - what % min(len(orders), 8)]
        if who == 22:
            account = ACCOUNTS[what % len(ACCOUNTS)]  # somebody else's, perhaps
        name = self._name()
        if kind < 6:
            self._say(CancelOrder(account, name, order_id))
        elif kind < 9:
            self._say(ReduceOrder(account, name, order_id, size * 3))
        else:
            self._say(ReplaceOrder(account, name, order_id, self._price(price), size * 5))

    def _control(self, kind: int, who: int, what: int, style: int, size: int) -> None:
        account, name = self._account(who), self._name()
        ticker = self.tickers[what % len(self.tickers)]
        if kind == 95:
            self._say(Deposit(name, account, ticker, (size - 11) * 5))
        elif kind == 96:
            shares = (-1, SHARES_MAX, size * 30)[what % 3]
            money = (-1, MONEY_MAX, size * 30 * MARK)[style % 3]
            total = (-1, EXPOSURE_MAX, size * 50 * MARK)[size % 3]
            where = self._maybe_ticker(style)
            self._say(SetLimits(name, account, where, shares, money, total, what % 3 - 1))
        elif kind == 97:
            # Mostly the switch is lifted again at once, so that trading goes on.
            self._say(KillSwitch(name, account, engaged=size < 20))
            if size:
                self._say(KillSwitch(self._name(), account, engaged=False))
        elif style < 12:
            self.market.send(SetMark(name, ticker, MARK + (size - 12) * 300))
        else:
            self.market.send(Halt(name, ticker) if style < 14 else Resume(name, ticker))

    def _say(self, command: ClientCommand | Deposit | SetLimits | KillSwitch) -> None:
        self.sent.append(command)
        self.market.send(command)

    def _say_again(self, command: ClientCommand | Deposit | SetLimits | KillSwitch) -> None:
        if self._resend_controls or isinstance(command, PlaceOrder | CancelOrder | ReplaceOrder):
            self.market.send(command)

    def _say_differently(self, command: ClientCommand | Deposit | SetLimits | KillSwitch) -> None:
        match command:
            case PlaceOrder():
                name = command.client_order_id
            case _:
                name = command.client_command_id
        self.market.send(CancelAll(command.account, name, "ZZZ"))


def draw_ops(seed: int, count: int) -> list[Op]:
    """Operations of a seeded generator."""
    chance = Random(seed)
    return [
        (chance.randrange(100), *(chance.randrange(24) for _ in range(5)))  # type: ignore[misc]
        for _ in range(count)
    ]
