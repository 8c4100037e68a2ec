"""An account's limits, and what of them its positions and open orders use.

Figures are risk's own, of its newest word about each ticker. Only where an operator's deposit moved
a position that has open orders is there none yet: what is used is then null, until the account's
next report in that ticker.
"""

from typing import Final

import msgspec

from services.domain.amounts import format_price
from services.domain.codes import EXEC_NEW
from services.domain.events import AccountState, ExecutionReport
from services.gateway.core.holdings import AccountReports, TickerReports
from services.gateway.viewer import Viewer
from services.gateway.views import View
from services.wire.codec import Decoded
from services.wire.topics import EXECUTIONS


class _Held(msgspec.Struct, frozen=True):
    """An account's holding of one ticker, as its newest reports say it."""

    position: int
    sequence: int
    """Of the report that says the position."""
    worst: int | None
    money: int | None
    exposure: int
    at: int
    """The offset in `accounts` after which the figures at worst are true."""
    mark: int


_NOTHING_HELD: Final = _Held(0, 0, 0, 0, 0, -1, 0)


def limits_view(viewer: Viewer, account: str) -> View | None:
    """The account's limits and state; None: nothing was ever said of it."""
    reports = viewer.model.holdings.find(account)
    if reports is None:
        return None
    state = _state_of(viewer, reports)
    return {
        "account": account,
        "account_sequence": viewer.model.orders.sequence_of(account),
        "killed": None if state is None else state.killed,
        "short_allowed": None if state is None else state.short_allowed,
        "exposure_max": None if state is None else format_price(state.exposure_max),
        "position_max": None if state is None else state.position_max,
        "notional_max": None if state is None else format_price(state.notional_max),
        "tickers": [
            {
                "ticker": limits.ticker,
                "position_max": limits.position_max,
                "notional_max": format_price(limits.notional_max),
            }
            for limits in (() if state is None else state.tickers)
        ],
    }


def positions_view(viewer: Viewer, account: str) -> View | None:
    """What the account holds, ticker by ticker; None: nothing was ever said of it."""
    reports = viewer.model.holdings.find(account)
    if reports is None:
        return None
    state = _state_of(viewer, reports)
    holdings: dict[str, _Held] = {}
    for ticker, of_ticker in reports.tickers.items():
        held = _held(viewer, of_ticker)
        if held is not None:
            holdings[ticker] = held
    newest = max(holdings.values(), key=lambda held: (held.at, held.sequence), default=None)
    exposure: int | None = 0 if newest is None else newest.exposure
    if state is not None and (moved := _moved(viewer, holdings, state)):
        holdings |= moved
        exposure = _sum_or_none([held.money for held in holdings.values()])
    return {
        "account": account,
        "account_sequence": viewer.model.orders.sequence_of(account),
        "exposure": _money(exposure, None if state is None else state.exposure_max),
        "positions": [
            _position_view(ticker, held, state) for ticker, held in sorted(holdings.items())
        ],
    }


def no_positions(account: str) -> View:
    """The same of an account that nothing was ever said of, for who waits until something is."""
    return {
        "account": account,
        "account_sequence": 0,
        "exposure": _money(None, None),
        "positions": [],
    }


def _state_of(viewer: Viewer, reports: AccountReports) -> AccountState | None:
    decoded = None if reports.state is None else viewer.decode(EXECUTIONS.name, reports.state)
    return None if decoded is None else decoded.payload


def _held(viewer: Viewer, reports: TickerReports) -> _Held | None:
    """The position by the report with the highest number; the rest by the newest figures."""
    found = [
        _read(decoded)
        for value in (reports.accepted, reports.other)
        if value is not None and (decoded := viewer.decode(EXECUTIONS.name, value)) is not None
    ]
    if not found:
        return None
    newest = max(found, key=lambda held: held.sequence)
    figures = max(found, key=lambda held: (held.at, held.sequence))
    return msgspec.structs.replace(figures, position=newest.position, sequence=newest.sequence)


def _read(decoded: Decoded[ExecutionReport]) -> _Held:
    report, origin = decoded.payload, decoded.origin
    assert origin is not None, "a report without an origin"
    return _Held(
        position=report.position,
        sequence=report.account_sequence,
        worst=report.position_worst,
        money=report.notional_worst,
        exposure=report.exposure_worst,
        at=report.accepted_offset if report.exec_type == EXEC_NEW else origin.offset,
        mark=report.mark,
    )


def _moved(viewer: Viewer, holdings: dict[str, _Held], state: AccountState) -> dict[str, _Held]:
    """The holdings that an operator changed since risk last reported on their tickers."""
    said = {limits.ticker: limits.position for limits in state.tickers}
    moved: dict[str, _Held] = {}
    for ticker in {**holdings, **said}:
        held = holdings.get(ticker, _NOTHING_HELD)
        position = said.get(ticker, 0)
        if held.position == position or held.sequence > state.account_sequence:
            continue
        is_open = viewer.model.orders.has_live(state.account, ticker)
        moved[ticker] = msgspec.structs.replace(
            held,
            position=position,
            worst=None if is_open else abs(position),
            money=None if is_open or not held.mark else abs(position) * held.mark,
        )
    return moved


def _position_view(ticker: str, held: _Held, state: AccountState | None) -> View:
    position_max = notional_max = None
    if state is not None:
        position_max, notional_max = state.position_max, state.notional_max
        for limits in state.tickers:
            if limits.ticker == ticker:
                position_max, notional_max = limits.position_max, limits.notional_max
    return {
        "ticker": ticker,
        "position": held.position,
        "mark": format_price(held.mark) if held.mark else None,
        "shares": {
            "used": held.worst,
            "max": position_max,
            "left": _left(held.worst, position_max),
        },
        "money": _money(held.money, notional_max),
    }


def _money(used: int | None, most: int | None) -> View:
    left = _left(used, most)
    return {
        "used": None if used is None else format_price(used),
        "max": None if most is None else format_price(most),
        "left": None if left is None else format_price(left),
    }


def _left(used: int | None, most: int | None) -> int | None:
    """Never below 0: a mark that moved may have carried what is used above the limit."""
    return None if used is None or most is None else max(0, most - used)


def _sum_or_none(parts: list[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
