"""What the recorder tells of the messages it records."""

from services.domain.codes import EXEC_COMMAND_REJECTED, EXEC_NEW, EXEC_REJECTED
from services.domain.commands import PlaceOrder
from services.domain.events import Trade
from services.domain.origin import ACCOUNTS, Origin
from services.domain.reasons import Reason
from services.recorder import metrics
from services.recorder.tally import DELAY_S_MAX, Teller
from services.runtime.telemetry import Telemetry
from tests.support.gateway_memory import report

NOW_MS = 1_700_000_000_000


def origin(sequence: int = 0, ago_ms: int = 4, partition: int = 0) -> Origin:
    return Origin(ACCOUNTS, partition, 7, 0, sequence, (NOW_MS - ago_ms) * 1_000, 0)


def order(ticker: str) -> PlaceOrder:
    return PlaceOrder("alice", "o-1", ticker, 1, 2, 1, False, 1_872_500, 100, 0)


TRADE = Trade("AAPL-7-0", "AAPL", 1_872_500, 30, 1, "m", "t", "a", "b", 1, 7, 2, 8)


def shown(teller: Teller) -> list[str]:
    telemetry = Telemetry("recorder", metrics=metrics.METRICS)
    metrics.show_zeros(telemetry)
    metrics.report_tally(telemetry, teller.take())
    return telemetry.exposition().decode().splitlines()


def test_orders_trades_and_refusals_are_counted_by_what_they_say() -> None:
    teller = Teller()
    teller.note(("accounts", 0), NOW_MS, origin(), order("AAPL"))
    teller.note(("accounts", 0), NOW_MS, origin(), order("MADE-UP"))
    teller.note(("trades", 0), NOW_MS, origin(), TRADE)
    for exec_type, reason in (
        (EXEC_NEW, Reason.NONE),
        (EXEC_REJECTED, Reason.OFF_TICK),
        (EXEC_COMMAND_REJECTED, Reason.UNKNOWN_ACCOUNT),
        (EXEC_REJECTED, 999),
    ):
        said = report(exec_type=exec_type, reason=int(reason))
        teller.note(("executions", 0), NOW_MS, origin(), said)
    lines = shown(teller)
    for line in (
        'outcry_orders_total{ticker="AAPL"} 1.0',
        'outcry_orders_total{ticker="other"} 1.0',
        'outcry_orders_total{ticker="NVDA"} 0.0',
        'outcry_trades_total{ticker="AAPL"} 1.0',
        'outcry_traded_shares_total{ticker="AAPL"} 30.0',
        'outcry_executions_total{event="REJECTED"} 2.0',
        'outcry_executions_total{event="NEW"} 1.0',
        'outcry_rejects_total{reason="OFF_TICK"} 1.0',
        'outcry_rejects_total{reason="UNKNOWN_ACCOUNT"} 1.0',
        'outcry_rejects_total{reason="other"} 1.0',
        'outcry_rejects_total{reason="NO_MARK"} 0.0',
        'outcry_records_missing_total{topic="executions"} 0.0',
    ):
        assert line in lines


def test_a_delay_is_from_the_commands_log_time_to_the_records_own() -> None:
    teller = Teller()
    teller.note(("executions", 0), NOW_MS, origin(ago_ms=4), report())
    teller.note(("executions", 0), NOW_MS, origin(ago_ms=-2), report())
    lines = shown(teller)
    assert 'outcry_log_delay_seconds_sum{topic="executions"} 0.004' in lines
    assert 'outcry_log_delay_seconds_count{topic="executions"} 2.0' in lines


def test_a_delay_of_a_replay_in_event_time_is_left_out() -> None:
    teller = Teller()
    ago_ms = int(DELAY_S_MAX * 1_000) + 1
    teller.note(("trades", 0), NOW_MS, origin(ago_ms=ago_ms), TRADE)
    assert not teller.take().delays_s


def test_a_hole_in_a_writers_sequence_is_counted_by_what_is_missing() -> None:
    teller = Teller()
    for sequence in (41, 42, 46, 47):
        teller.note(("executions", 2), NOW_MS, origin(sequence, partition=2), report())
    assert 'outcry_records_missing_total{topic="executions"} 3.0' in shown(teller)
    teller.note(("executions", 2), NOW_MS, origin(48, partition=2), report())
    assert teller.take().missing.total() == 0


def test_sequences_are_those_of_one_partition_and_one_writer() -> None:
    teller = Teller()
    for partition in (0, 1):
        for sequence in (1, 2):
            teller.note(("trades", partition), NOW_MS, origin(sequence, 4, partition), TRADE)
    teller.note(("accounts", 0), NOW_MS, origin(0), order("AAPL"))
    assert teller.take().missing.total() == 0
