"""The model of risk: what must follow from one partition of `accounts`."""

from collections.abc import Callable
from typing import Any, Final

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model import operators, orders, outcomes, said
from services.tools.proof.audit.model.accounts import Account, Shard
from services.tools.proof.audit.model.caps import check_rest
from services.tools.proof.audit.model.loading import load_shard
from services.tools.proof.audit.model.said import Derived, Fault, Witness
from services.tools.proof.audit.model.state import (
    decode_state,
    encode_state,
    hash_genesis,
    plain_genesis,
)
from services.tools.proof.audit.model.trace import Sources

_ACTS: Final[dict[str, Callable[[Shard, dict[str, Any]], None]]] = {
    "PlaceOrder": orders.place_order,
    "CancelOrder": orders.cancel_order,
    "ReduceOrder": orders.reduce_order,
    "ReplaceOrder": orders.replace_order,
    "CancelAll": orders.cancel_all,
    "Genesis": operators.pass_over,
    "OpenAccount": operators.open_account,
    "Deposit": operators.deposit,
    "SetLimits": operators.set_limits,
    "SetMark": operators.set_mark,
    "KillSwitch": operators.kill_switch,
    "OrderAccepted": outcomes.order_accepted,
    "OrderRefused": outcomes.order_refused,
    "OrderFilled": outcomes.order_filled,
    "OrderCanceled": outcomes.order_canceled,
    "OrderReduced": outcomes.order_reduced,
    "OrderReplaced": outcomes.order_replaced,
    "CancelRefused": outcomes.cancel_refused,
    "ReplaceRefused": outcomes.replace_refused,
    "MarkChanged": outcomes.mark_changed,
}


class RiskModel:
    """One partition of `accounts`."""

    def __init__(self, partition: int) -> None:
        self._witness = Witness("accounts", partition)
        self._sources = Sources(self._witness)
        self._shard = Shard(partition, self._witness)
        self._genesis_hash = ""
        self._in_event_time = False
        self.is_broken = False
        """Something malformed was met: nothing is derived from there on."""

    @property
    def faults(self) -> list[Fault]:
        """Broken promises so far, the first ones."""
        return self._witness.faults

    def take(self, offset: int, record: str, fields: dict[str, Any]) -> list[Derived]:
        """Everything that must follow from the record at this offset, in order."""
        if self.is_broken:
            return []
        witness, shard = self._witness, self._shard
        witness.offset = offset
        act = _ACTS.get(record)
        if act is None:
            witness.report(said.UNKNOWN_RECORD, f"{record} does not belong here")
            return []
        try:
            origin = fields["origin"]
            self._sources.note(origin)
            time_us, event_time_us = origin["time_us"], origin["event_time_us"]
            sent = shard.sent
            sent.begin(offset, event_time_us)
            shard.time_us = shard.said_us = time_us
            if shard.genesis is None and record == "Genesis":
                self._begin(fields)
            # Before the genesis time stands still.
            if shard.genesis is not None:
                shard.advance(event_time_us if self._in_event_time else time_us)
            act(shard, fields)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self.is_broken = True
            witness.report(said.MALFORMED, f"{record}: {error!r}")
            return []
        return sent.out

    @classmethod
    def load(cls, partition: int, state: bytes) -> "RiskModel":
        """The model as it was where a snapshot was taken; its totals count from there.

        Raises:
            ValueError: these bytes are no state of this partition.
        """
        rows = decode_state(state, 8)
        model = cls(partition)
        try:
            load_shard(model._shard, rows)
            model._sources.load(rows[2])
            if rows[1] is not None:
                model._know(rows[1])
        except (LookupError, TypeError, AttributeError) as error:
            msg = f"no state of risk: {error!r}"
            raise ValueError(msg) from error
        if rows[0] != partition:
            msg = f"the state of partition {rows[0]}, not of {partition}"
            raise ValueError(msg)
        return model

    def _begin(self, fields: dict[str, Any]) -> None:
        genesis = plain_genesis(fields)
        self._shard.begin(genesis)
        self._know(genesis)

    def _know(self, genesis: dict[str, Any]) -> None:
        self._genesis_hash = hash_genesis(genesis)
        self._in_event_time = genesis["time_source"] == n.TIME_FROM_EVENT

    def finish(self) -> None:
        """At the end of the log: check what holds whenever nothing is being done."""
        if not self.is_broken:
            check_rest(self._shard)

    def genesis_hash(self) -> str:
        """Empty before the genesis."""
        return self._genesis_hash

    def totals(self) -> dict[str, int]:
        """What was counted on the way. Orders: submitted = filled + canceled + rejected + open."""
        counts = self._shard.counts
        return {
            "orders_submitted": counts.submitted,
            "orders_filled": counts.filled,
            "orders_canceled": counts.canceled,
            "orders_rejected": counts.rejected,
            "orders_open": self._shard.live_count,
            "shares_bought": counts.bought,
            "shares_sold": counts.sold,
            "acceptances_checked": counts.accepted,
            "acceptances_added_up": counts.added_up,
            "faults_suppressed": self._witness.suppressed,
        }

    def state(self) -> bytes:
        """As documented in state.py."""
        shard = self._shard
        return encode_state(
            [
                shard.partition,
                shard.genesis,
                self._sources.rows(),
                shard.sent.rows(),
                shard.now_us,
                [market.mark for market in shard.markets.values()],
                [self._account_row(shard.accounts[name]) for name in sorted(shard.accounts)],
                [gone.row() for gone in shard.ended],
            ]
        )

    def _account_row(self, account: Account) -> list[Any]:
        holdings = []
        for ticker in self._shard.markets:
            holding = account.holdings.get(ticker)
            if holding is None:
                continue
            limits = holding.position_max, holding.notional_max
            if holding.position or max(limits) >= 0:
                holdings.append([ticker, holding.position, *limits])
        return [
            account.name,
            account.sequence,
            account.killed,
            account.short_allowed,
            account.position_max,
            account.notional_max,
            account.exposure_max,
            holdings,
            [order.row() for order in account.live_orders()],
        ]
