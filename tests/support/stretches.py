"""What stretches of made-up reports come to, told by folding them one by one."""

from collections.abc import Iterable, Mapping

from services.domain import codes
from services.domain.events import AccountState, ExecutionReport
from services.gateway.core.recorded import RecordedOrder, RecordedTicker
from services.gateway.core.report_state import ReportState, Stretch, StretchOrder
from tests.support.report_flow import Reported


def stretch_of(said: Iterable[Reported]) -> Stretch:
    """The last words of these reports, all of one partition, without any question to a database."""
    live: dict[tuple[str, str], StretchOrder] = {}
    ended: set[tuple[str, str]] = set()
    held: dict[tuple[str, str], RecordedTicker] = {}
    states: dict[str, bytes] = {}
    sequences: dict[str, int] = {}
    for _, _, payload, value in said:
        if not payload.account_sequence:
            continue
        sequences[payload.account] = payload.account_sequence
        if isinstance(payload, AccountState):
            states[payload.account] = value
            continue
        if payload.order_status == codes.NO_ORDER:
            continue
        _note_order(live, ended, payload, value)
        if payload.order_status != codes.REJECTED:
            _note_holding(held, payload, value)
    return Stretch(
        tuple(live.values()),
        tuple(sorted(ended - set(live))),
        tuple(held.values()),
        tuple(states.items()),
        sequences,
    )


def states_of(said: Iterable[Reported]) -> Mapping[int, ReportState]:
    """By partition, all of it taken in at once."""
    parts: dict[int, list[Reported]] = {}
    for one in said:
        parts.setdefault(one.partition, []).append(one)
    states = {partition: ReportState() for partition in parts}
    for partition, part in parts.items():
        states[partition].carry_on(stretch_of(part))
    return states


def _note_order(
    live: dict[tuple[str, str], StretchOrder],
    ended: set[tuple[str, str]],
    report: ExecutionReport,
    value: bytes,
) -> None:
    key = (report.account, report.order_id)
    if report.order_status not in codes.LIVE_STATUSES:
        live.pop(key, None)
        ended.add(key)
        return
    known = live.get(key)
    first = report.account_sequence if known is None else known.order.first_sequence
    order = RecordedOrder(*key, report.order_status, first, value)
    live[key] = StretchOrder(order, key in ended)


def _note_holding(
    held: dict[tuple[str, str], RecordedTicker], report: ExecutionReport, value: bytes
) -> None:
    key = (report.account, report.ticker)
    before = held.get(key, RecordedTicker(*key, None, None))
    is_accepted = report.exec_type == codes.EXEC_NEW
    held[key] = RecordedTicker(
        *key, value if is_accepted else before.accepted, before.other if is_accepted else value
    )
