"""A flood of one error is a line each 10 s, and another error is told at once."""

from structlog.testing import capture_logs

from services.runtime.client_errors import QUIET_S, ClientErrors
from services.runtime.telemetry import Telemetry

REFUSED = "127.0.0.1:9092/bootstrap: Connect failed: Connection refused (after {}ms) (_TRANSPORT)"


def test_a_flood_is_a_line_now_and_then_that_says_how_many() -> None:
    clock = [100.0]
    with capture_logs() as lines:
        say = ClientErrors(Telemetry("test"), lambda: clock[0])
        for number in range(1_000):
            clock[0] = 100.0 + number * 2.5 * QUIET_S / 1_000
            say(REFUSED.format(number))
        say("1/1 brokers are down (_ALL_BROKERS_DOWN)")
    assert [(line["error"], line["left_out"]) for line in lines] == [
        (REFUSED.format(0), 0),
        (REFUSED.format(400), 399),
        (REFUSED.format(800), 399),
        ("1/1 brokers are down (_ALL_BROKERS_DOWN)", 0),
    ]


def test_kinds_without_end_are_not_kept_for_ever() -> None:
    with capture_logs() as lines:
        say = ClientErrors(Telemetry("test"), lambda: 0.0)
        for number in range(1_000):
            say(f"odd (_KIND_{number})")
    assert len(say._said) <= 64
    assert len(lines) == 1_000
