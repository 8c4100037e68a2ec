"""A second risk that judges the first: it refolds one partition of `accounts` the plainest way.

It shares no code with services/risk. It takes from risk's outputs only what risk decided (let
through, refused), never a number; then it checks each decision, and each number that risk reported,
against its own fold (risk_world.py), in which a reservation is a sum over a list of orders.

`audit` returns findings, one line each; no findings means that all of this holds:
- at each acceptance (of an order or a replace) the three caps hold, or neither W nor E rose; the
  short rule, the collar and the order size hold; the account is not killed; there is a mark;
- what a limit or the short rule refused would have broken it;
- no position of an account that may not sell short is negative, and its open sells are covered;
- every report's position, W, E, X, mark, quantities and status are what the fold says;
- account sequences, and the messages to each partition, are gapless;
- an order is entered once and ends once; submitted = filled + canceled + rejected + open;
- every command is answered or passed on, and every event of the matcher is told;
- a command sent again, while it is remembered, does nothing.

It takes for granted that the table of remembered commands never fills up.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final, NamedTuple

from services.domain import codes
from services.domain.amounts import BPS
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    EnterOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import Deposit, Genesis, KillSwitch, OpenAccount, SetLimits
from services.domain.events import (
    AccountState,
    CancelRefused,
    ExecutionReport,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReduced,
    OrderRefused,
    OrderReplaced,
    ReplaceRefused,
)
from services.domain.ids import make_order_id
from services.domain.reasons import Reason
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload
from tests.support.risk_world import Happened, World, refold

REPORTED_MAX: Final = 2**63 - 1
Command = PlaceOrder | CancelOrder | ReduceOrder | ReplaceOrder | CancelAll
Answered = Command | OpenAccount | Deposit | SetLimits | KillSwitch
"""What must get an answer."""
_LIMITS: Final = (Reason.POSITION_LIMIT, Reason.NOTIONAL_LIMIT, Reason.EXPOSURE_LIMIT)
_REFUSALS: Final = (codes.EXEC_REJECTED, codes.EXEC_REPLACE_REJECTED)
_OPEN: Final = (codes.PENDING_NEW, codes.NEW, codes.PARTIALLY_FILLED)
_SAID_OF: Final[dict[type, int]] = {
    OrderAccepted: codes.EXEC_NEW,
    OrderRefused: codes.EXEC_REJECTED,
    OrderFilled: codes.EXEC_TRADE,
    OrderCanceled: codes.EXEC_CANCELED,
    OrderReduced: codes.EXEC_REDUCED,
    OrderReplaced: codes.EXEC_REPLACED,
    CancelRefused: codes.EXEC_CANCEL_REJECTED,
    ReplaceRefused: codes.EXEC_REPLACE_REJECTED,
}
"""The one report that each event of the matcher brings."""
_MOVES: Final = {
    codes.EXEC_NEW: {(codes.PENDING_NEW, codes.NEW)},
    codes.EXEC_TRADE: {
        (status, after)
        for status in (codes.NEW, codes.PARTIALLY_FILLED)
        for after in (codes.PARTIALLY_FILLED, codes.FILLED)
    },
    codes.EXEC_CANCELED: {
        (status, codes.CANCELED) for status in (codes.NEW, codes.PARTIALLY_FILLED)
    },
    codes.EXEC_REJECTED: {(codes.PENDING_NEW, codes.REJECTED)},
}
"""Which execution type may move an order's status from where to where; no other may move it."""


class Before(NamedTuple):
    """How things stood before an order or a replace."""

    ticker: str
    shares_at_worst: int
    money_at_worst: int
    may_change: bool
    """For a replace: the order is live and no other replace is on its way."""


class Audit:
    """Walks one partition's log once."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.history: list[Happened] = []
        self.world = World()
        self.now_us = 0
        self._sequences: Counter[str] = Counter()
        self._departures: Counter[tuple[str, int]] = Counter()
        self._used: dict[tuple[str, str], tuple[int, Answered]] = {}
        """When each (account, command id) last had an effect, and its payload."""
        self._accepted: dict[str, dict[str, int]] = {}
        """What NEW must report of an order's acceptance."""
        self._statuses: dict[str, int] = {}
        self._submitted = 0
        self._ended: Counter[int] = Counter()

    def judge(self, offset: int, decoded: Decoded[Any], outputs: list[Message]) -> None:
        """Judge what risk did about one message; `world` is then as it stands after it."""
        payload = decoded.payload
        self._advance(decoded)
        said: list[Any] = [m.payload for m in outputs if m.topic == "executions"]
        passed: list[Any] = [m.payload for m in outputs if m.topic == "matching"]
        first = self._first_use(payload)
        happened = Happened(
            payload=payload,
            now_us=self.now_us,
            is_new=first is None,
            entered=next((p for p in passed if isinstance(p, EnterOrder)), None),
            forwarded=bool(passed),
            taken=any(isinstance(p, AccountState) for p in said),
        )
        before = self._look(payload)
        self.history.append(happened)
        self.world.apply(happened)
        found = [
            *self._messages(offset, outputs),
            *self._resend(first, payload, said, passed),
            *self._answer(payload, said, passed),
            *self._shorts(getattr(payload, "account", "")),
        ]
        if before is not None and passed:
            found += self._acceptance(happened, before)
        elif before is not None:
            found += self._refusal(happened, before, said)
        self._begin_life(happened, said)
        for report in said:
            found += self._sequence(report)
            if isinstance(report, ExecutionReport):
                found += [*self._numbers(report), *self._life(report)]
        found += self._conservation()
        self._note_use(happened, said, passed)
        self.findings += [f"offset {offset}: {line} <- {payload}" for line in found]

    def _advance(self, decoded: Decoded[Any]) -> None:
        assert decoded.origin is not None
        genesis = self.world.genesis
        if genesis is None and isinstance(decoded.payload, Genesis):
            genesis = decoded.payload
        if genesis is not None:
            log_time = genesis.time_source == codes.TIME_FROM_LOG
            origin = decoded.origin
            self.now_us = max(self.now_us, origin.time_us if log_time else origin.event_time_us)

    def _look(self, payload: Payload) -> Before | None:
        """How an order's or a replace's account and ticker stand before it."""
        world, ticker, may_change = self.world, "", True
        if not isinstance(payload, PlaceOrder | ReplaceOrder):
            return None
        if isinstance(payload, PlaceOrder):
            ticker = payload.ticker
        else:
            order = world.find(payload.account, payload.order_id)
            ticker = "" if order is None else order.ticker
            may_change = order is not None and order.is_live and order.pending is None
        if not ticker or payload.account not in world.opened:
            return None
        shares = world.shares_at_worst(payload.account, ticker)
        return Before(ticker, shares, world.money_at_worst(payload.account, ticker), may_change)

    # --- messages and sequences

    def _messages(self, offset: int, outputs: list[Message]) -> Iterator[str]:
        for index, message in enumerate(outputs):
            place = (message.topic, message.partition)
            self._departures[place] += 1
            origin = message.origin
            want = (offset, index, self._departures[place])
            if (origin.offset, origin.index, origin.sequence) != want:
                yield f"{origin} of output {index} to {place}, want {want}"

    def _sequence(self, report: ExecutionReport | AccountState) -> Iterator[str]:
        if report.account not in self.world.opened:
            if report.account_sequence != 0:
                yield f"sequence {report.account_sequence} of an account nobody opened"
            return
        self._sequences[report.account] += 1
        if report.account_sequence != self._sequences[report.account]:
            yield f"sequence {report.account_sequence}, want {self._sequences[report.account]}"

    # --- commands sent again

    def _first_use(self, payload: Payload) -> Answered | None:
        """What was said first under this id, if that is certainly remembered."""
        genesis = self.world.genesis
        if not isinstance(payload, Answered) or genesis is None:
            return None
        used = self._used.get((payload.account, _command_id(payload)))
        if used is None:
            return None
        remembered_us, first = used
        if isinstance(first, PlaceOrder):
            order_id = make_order_id(first.account, first.client_order_id, first.ticker)
            order = self.world.find(first.account, order_id)
            if order is not None:
                ended_us = self.now_us if order.is_live else order.ended_us
                remembered_us = max(remembered_us, ended_us)
        return first if self.now_us - remembered_us <= genesis.remember_ended_us else None

    def _note_use(self, happened: Happened, said: list[Any], passed: list[Any]) -> None:
        """A command is remembered unless it was refused as such, or was known.

        Past its window a command may still be known: then its age counts from its first use.
        """
        payload = happened.payload
        if not isinstance(payload, Answered) or not happened.is_new:
            return
        key = payload.account, _command_id(payload)
        no_use = {codes.EXEC_COMMAND_REJECTED}
        if key in self._used:
            no_use.add(codes.EXEC_ORDER_STATUS)
        if passed or any(getattr(report, "exec_type", -1) not in no_use for report in said):
            self._used[key] = (self.now_us, payload)

    def _resend(
        self, first: Answered | None, payload: Payload, said: list[Any], passed: list[Any]
    ) -> Iterator[str]:
        if first is None:
            return
        if passed:
            yield f"a command id used before was passed on: {passed[0]}"
        if len(said) != 1:
            yield f"a command sent again got {len(said)} answers"
        elif (type(first), first) != (type(payload), payload):
            if not _is(said[0], codes.EXEC_COMMAND_REJECTED, Reason.DUPLICATE_CONFLICT):
                yield f"another payload under a used id was answered {said[0]}"
        elif isinstance(payload, Command):
            if not _is(said[0], codes.EXEC_ORDER_STATUS):
                yield f"a command sent again was answered {said[0]}"
        elif not isinstance(said[0], AccountState):
            yield f"a control sent again was answered {said[0]}"

    # --- decisions

    def _answer(self, payload: Payload, said: list[Any], passed: list[Any]) -> Iterator[str]:
        if isinstance(payload, Answered) and not said and not passed:
            yield "a command without an answer"
        if isinstance(payload, Command) and said and passed:
            yield "a command was both passed on and answered"
        if passed and not isinstance(payload, Command | KillSwitch):
            yield f"nobody asked for {passed[0]}"
        if (
            isinstance(payload, Answered)
            and payload.account not in self.world.opened
            and not all(_is(report, codes.EXEC_COMMAND_REJECTED) for report in said)
        ):
            yield "an account nobody opened got more than a refusal"
        if isinstance(payload, tuple(_SAID_OF)) and [
            getattr(report, "exec_type", -1) for report in said
        ] != [_SAID_OF[type(payload)]]:
            yield f"answered by {said}"
        if isinstance(payload, CancelAll | KillSwitch) and passed:
            live = self.world.live(payload.account, getattr(payload, "ticker", ""))
            if [p.order_id for p in passed] != [order.order_id for order in live]:
                yield f"cancels {len(passed)} orders, {len(live)} are live"

    def _acceptance(self, happened: Happened, before: Before) -> Iterator[str]:
        """What must hold of what passed."""
        world, command, ticker = self.world, happened.payload, before.ticker
        assert isinstance(command, PlaceOrder | ReplaceOrder)
        account, rules, mark = command.account, world.rules(ticker), world.marks.get(ticker, 0)
        if mark == 0:
            yield "passed without a mark"
            return
        if not before.may_change:
            yield "passed for an order that can't be replaced now"
        if world.killed.get(account, False):
            yield "passed although the account is killed"
        if not 0 < command.quantity <= rules.order_quantity_max or command.quantity % rules.lot:
            yield "passed with a forbidden size"
        price = command.price
        if isinstance(command, PlaceOrder) and command.order_type == codes.MARKET:
            price = world.protection_price(ticker, command.side)
        elif rules.price_collar_bps and (
            Fraction(abs(price - mark), mark) > Fraction(rules.price_collar_bps, BPS)
        ):
            yield f"passed outside the collar around {mark}"
        if happened.entered is not None and happened.entered.price != price:
            yield f"entered at {happened.entered.price}, not at {price}"
        yield from self._caps(account, before)
        if happened.entered is not None:
            self._accepted[happened.entered.order_id] = {
                "position_worst": world.shares_at_worst(account, ticker),
                "notional_worst": world.money_at_worst(account, ticker),
                "exposure_worst": world.exposure(account),
                "mark": mark,
            }

    def _caps(self, account: str, before: Before, world: World | None = None) -> Iterator[str]:
        world = world or self.world
        ticker = before.ticker
        shares = world.shares_at_worst(account, ticker)
        money = world.money_at_worst(account, ticker)
        if shares <= before.shares_at_worst and money <= before.money_at_worst:
            return
        for name, value, cap in (
            ("position", shares, world.limit(account, ticker, "position_max")),
            ("notional", money, world.limit(account, ticker, "notional_max")),
            ("exposure", world.exposure(account), world.limit(account, "", "exposure_max")),
        ):
            if value > cap:
                yield f"{name} {value} at worst passed a cap of {cap}"

    def _refusal(self, happened: Happened, before: Before, said: list[Any]) -> Iterator[str]:
        """Whether what a limit or the short rule refused would have broken it."""
        command = happened.payload
        assert isinstance(command, PlaceOrder | ReplaceOrder)
        reasons = [r.reason for r in said if getattr(r, "exec_type", -1) in _REFUSALS]
        ticker = before.ticker
        if len(reasons) != 1 or reasons[0] not in (*_LIMITS, Reason.SHORT_NOT_ALLOWED):
            return
        entered = None
        if isinstance(command, PlaceOrder):
            market = command.order_type == codes.MARKET
            price = self.world.protection_price(ticker, command.side) if market else command.price
            order_id = make_order_id(command.account, command.client_order_id, ticker)
            entered = EnterOrder(
                order_id, command.account, command.side, 0, 0, False, price, command.quantity, 0
            )
        had_it_passed = Happened(command, happened.now_us, True, entered, True, False)
        world = refold([*self.history[:-1], had_it_passed])
        if reasons[0] == Reason.SHORT_NOT_ALLOWED:
            _, sells, _, _ = world.open_sums(command.account, ticker)
            if world.short_allowed(command.account) or (
                sells <= world.positions[command.account, ticker]
            ):
                yield "refused as a short sale, and is none"
        elif not list(self._caps(command.account, before, world)):
            yield f"refused with {Reason(reasons[0]).name}, and breaks no cap"

    def _shorts(self, account: str) -> Iterator[str]:
        world = self.world
        if world.genesis is None or account not in world.opened or world.short_allowed(account):
            return
        for rules in world.genesis.instruments:
            position = world.positions[account, rules.ticker]
            _, sells, _, _ = world.open_sums(account, rules.ticker)
            if position < sells:
                yield f"{account} may not be short: {position} held, {sells} to sell"

    # --- reports

    def _numbers(self, report: ExecutionReport) -> Iterator[str]:
        world, account, ticker = self.world, report.account, report.ticker
        if account not in world.opened:
            return
        want = {
            "position": world.positions[account, ticker],
            "position_worst": world.shares_at_worst(account, ticker),
            "notional_worst": world.money_at_worst(account, ticker),
            "exposure_worst": world.exposure(account),
            "mark": world.marks.get(ticker, 0),
        }
        order = world.find(account, report.order_id)
        if order is not None and report.order_status not in (codes.NO_ORDER, codes.REJECTED):
            want |= {
                "quantity": order.total,
                "cumulative_quantity": order.filled,
                "cumulative_notional": order.paid,
                "remaining_quantity": order.total - order.filled if order.is_live else 0,
            }
            if codes.ORDER_STATUS_NAMES[report.order_status] != order.status:
                yield f"{report} of an order that is {order.status}"
        if report.exec_type == codes.EXEC_NEW:
            want |= self._accepted.get(report.order_id, {})
        for name, value in want.items():
            if getattr(report, name) != min(value, REPORTED_MAX):
                yield f"{name} {getattr(report, name)} reported, it is {value}: {report}"

    def _begin_life(self, happened: Happened, said: list[Any]) -> None:
        command = happened.payload
        if not isinstance(command, PlaceOrder) or not happened.is_new:
            return
        if happened.entered is not None or any(_is(r, codes.EXEC_REJECTED) for r in said):
            order_id = make_order_id(command.account, command.client_order_id, command.ticker)
            self._submitted += 1
            self._statuses[order_id] = codes.PENDING_NEW

    def _life(self, report: ExecutionReport) -> Iterator[str]:
        after = report.order_status
        if after == codes.NO_ORDER:
            if report.exec_type in _MOVES:
                yield f"{report} says nothing of its order"
            return
        before = self._statuses.get(report.order_id, codes.NO_ORDER)
        if report.exec_type in _MOVES:
            if (before, after) not in _MOVES[report.exec_type]:
                yield f"status {before} -> {after}: {report}"
        elif before != after:
            yield f"status {after} of an order last reported {before}: {report}"
        if before in _OPEN and after not in _OPEN:
            self._ended[after] += 1
        self._statuses[report.order_id] = after

    def _conservation(self) -> Iterator[str]:
        ended, live = sum(self._ended.values()), len(self.world.open_orders)
        if self._submitted != ended + live:
            yield f"{self._submitted} submitted, {dict(self._ended)} ended, {live} open"


def audit(steps: Iterable[tuple[int, Decoded[Any], list[Message]]]) -> list[str]:
    """Findings about one partition: its messages in order, each with what risk wrote."""
    judge = Audit()
    for offset, decoded, outputs in steps:
        judge.judge(offset, decoded, outputs)
    return judge.findings


def _command_id(payload: Answered) -> str:
    if isinstance(payload, PlaceOrder):
        return payload.client_order_id
    return payload.client_command_id


def _is(report: Payload, exec_type: int, reason: Reason | None = None) -> bool:
    return (
        isinstance(report, ExecutionReport)
        and report.exec_type == exec_type
        and reason in (None, report.reason)
    )
