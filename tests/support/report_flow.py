"""Made-up reports of some accounts as risk would write them, and what a read model makes of it."""

from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from services.domain import codes
from services.domain.events import AccountState, ExecutionReport, TickerLimits
from services.domain.origin import ACCOUNTS, Origin
from services.gateway.core.read_model import ReadModel
from services.gateway.standing import limits_view, positions_view
from services.gateway.viewer import Viewer
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec
from services.wire.topics import EXECUTIONS
from tests.support.gateway_memory import CODEC, report

TICKERS: Final = ("AAPL", "TSLA")
START_US: Final = 1_790_000_000_000_000


class Reported(NamedTuple):
    """A record of `executions`."""

    partition: int
    offset: int
    payload: ExecutionReport | AccountState
    value: bytes


class ReportFlow:
    """The same seed gives the same reports; offsets have gaps, as behind transactions' ends."""

    def __init__(self, seed: int, accounts: Sequence[str]) -> None:
        self._random = Random(seed)
        self._accounts = {
            name: number % EXECUTIONS.partitions for number, name in enumerate(accounts)
        }
        self._numbers = dict.fromkeys(accounts, 0)
        self._offsets = [0] * EXECUTIONS.partitions
        self._live: dict[str, dict[str, ExecutionReport]] = {name: {} for name in accounts}
        self._ended: dict[str, list[str]] = {name: [] for name in accounts}
        self._ids = 0
        self.said: list[Reported] = []

    def run(self, reports: int) -> list[Reported]:
        for _ in range(reports):
            self._act(self._random.choice(list(self._accounts)))
        return self.said

    def _act(self, account: str) -> None:
        draw, live = self._random.random(), self._live[account]
        if draw < 0.06:
            self._say(account, self._state(account))
        elif draw < 0.12:
            # Refused: of an order that may be somebody else's, or of an account that nobody opened.
            other = self._random.choice(["AAPL-of-another", *live])
            self._report(account, other, codes.EXEC_CANCEL_REJECTED, codes.NO_ORDER)
            self._report("nobody", "AAPL-none", codes.EXEC_COMMAND_REJECTED, codes.NO_ORDER)
        elif draw < 0.5 or not live:
            self._enter(account)
        else:
            self._go_on(account, self._random.choice(list(live)))

    def _enter(self, account: str) -> None:
        again = self._ended[account] and self._random.random() < 0.1
        self._ids += 1
        fresh = f"{self._random.choice(TICKERS)}-{self._ids}"
        order_id = self._random.choice(self._ended[account]) if again else fresh
        if order_id in self._live[account]:
            return
        if self._random.random() < 0.15:
            self._report(account, order_id, codes.EXEC_REJECTED, codes.REJECTED)
            return
        self._report(account, order_id, codes.EXEC_NEW, codes.NEW)

    def _go_on(self, account: str, order_id: str) -> None:
        exec_type, status = self._random.choice(
            [
                (codes.EXEC_TRADE, codes.PARTIALLY_FILLED),
                (codes.EXEC_TRADE, codes.FILLED),
                (codes.EXEC_CANCELED, codes.CANCELED),
                (codes.EXEC_ORDER_STATUS, codes.NEW),
            ]
        )
        self._report(account, order_id, exec_type, status)

    def _report(self, account: str, order_id: str, exec_type: int, status: int) -> None:
        numbers = [self._random.randrange(1, 1_000) for _ in range(5)]
        said = report(
            account=account,
            order_id=order_id,
            client_order_id=order_id.lower(),
            ticker=order_id.partition("-")[0],
            exec_type=exec_type,
            order_status=status,
            position=numbers[0],
            position_worst=numbers[1],
            notional_worst=numbers[2],
            exposure_worst=numbers[3],
            accepted_offset=len(self.said),
            mark=numbers[4],
        )
        if account in self._live and status != codes.NO_ORDER:
            if status in codes.LIVE_STATUSES:
                self._live[account][order_id] = said
            else:
                self._live[account].pop(order_id, None)
                self._ended[account].append(order_id)
        self._say(account, said)

    def _state(self, account: str) -> AccountState:
        limits = TickerLimits("AAPL", self._random.randrange(1_000), 5_000, 10_000_000)
        return AccountState(
            account=account,
            account_sequence=0,
            client_command_id=f"c-{len(self.said)}",
            killed=self._random.random() < 0.2,
            short_allowed=False,
            exposure_max=self._random.randrange(1, 10**9),
            position_max=1_000,
            notional_max=10**9,
            tickers=(limits,),
        )

    def _say(self, account: str, payload: ExecutionReport | AccountState) -> None:
        if account in self._numbers:
            self._numbers[account] += 1
        number = self._numbers.get(account, 0)
        partition = self._accounts.get(account, 0)
        self._offsets[partition] += self._random.choice((1, 1, 1, 2))
        numbered = msgspec.structs.replace(payload, account_sequence=number)
        place = len(self.said)
        # The last one is an event time: none, or one of its own.
        times = (START_US + place, 0 if place % 3 else START_US - place)
        origin = Origin(ACCOUNTS, partition, place, 0, place + 1, *times)
        value = CODEC.encode(EXECUTIONS.name, origin, numbered)
        self.said.append(Reported(partition, self._offsets[partition], numbered, value))


def make_read_model(codec: Codec = CODEC) -> ReadModel:
    return ReadModel(
        codec,
        ended_orders_max=10_000,
        submitted_max=10,
        trades_kept=2,
        candles_kept=3,
        fills_kept=10_000,
    )


def fold(model: ReadModel, said: Sequence[Reported]) -> None:
    for one in said:
        model.fold(EXECUTIONS.name, b"", one.value)


def picture(model: ReadModel, accounts: Sequence[str]) -> dict[str, Any]:
    """What people can see of each account, but for what ended before a split."""
    viewer = Viewer(model, Telemetry("gateway"))
    return {
        account: {
            "live": viewer.account(account),
            "listed": [
                (number, order_id)
                for number, order_id, status in model.orders.lists.before(account, None)
                if status in codes.LIVE_STATUSES
            ],
            "limits": limits_view(viewer, account),
            "positions": positions_view(viewer, account),
        }
        for account in accounts
    }
