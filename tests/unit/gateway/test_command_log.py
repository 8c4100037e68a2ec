import asyncio
import socket

import pytest
from confluent_kafka import KafkaError

from services.gateway import command_log
from services.gateway.command_log import KafkaCommandLog, _failure
from services.gateway.metrics import METRICS
from services.gateway.ports import LogUnavailableError, OutcomeUnknownError
from services.runtime.errors import OperatingError, RetriableError
from services.runtime.telemetry import Telemetry


@pytest.mark.parametrize(
    "code", [KafkaError._MSG_TIMED_OUT, KafkaError.REQUEST_TIMED_OUT, KafkaError._PURGE_INFLIGHT,
             KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError._TRANSPORT],
)  # fmt: skip
def test_what_a_broker_may_have_written_is_never_said_to_be_absent(code: int) -> None:
    assert isinstance(_failure(KafkaError(code)), OutcomeUnknownError)


@pytest.mark.parametrize("code", [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.NOT_ENOUGH_REPLICAS])
def test_what_a_broker_refused_is_said_to_be_absent(code: int) -> None:
    assert isinstance(_failure(KafkaError(code)), LogUnavailableError)


async def test_without_a_broker_nothing_starts_and_nothing_is_taken() -> None:
    failures: list[OperatingError] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and not listening
        bootstrap = f"127.0.0.1:{nobody.getsockname()[1]}"
        telemetry = Telemetry("gateway", metrics=METRICS)
        log = KafkaCommandLog(bootstrap, "orders", 1_000, telemetry, failures.append)
        with pytest.raises(RetriableError, match=bootstrap):
            log.start()
        assert not log.available
        with pytest.raises(LogUnavailableError):
            await log.append(0, b"AAPL", b"value")
        log.close()
    assert failures == []


class _SilentProducer:
    """Takes each record and never says what became of it."""

    def __init__(self, config: dict[str, object]) -> None:
        pass

    def produce(self, *record: object) -> None:
        pass

    def poll(self, timeout_s: float) -> int:
        return 0


async def test_records_that_nothing_is_heard_of_have_an_unknown_outcome_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command_log, "Producer", _SilentProducer)
    monkeypatch.setattr(command_log, "_GRACE_S", 0.1)
    telemetry = Telemetry("gateway", metrics=METRICS)
    failures: list[OperatingError] = []
    log = KafkaCommandLog("127.0.0.1:1", "orders", 50, telemetry, failures.append)
    monkeypatch.setattr(log, "_available", True)
    appends = [asyncio.create_task(log.append(0, b"AAPL", b"value")) for _ in range(3)]
    await asyncio.sleep(0)
    appends[0].cancel()  # whoever hangs up must not hide those behind
    said = await asyncio.gather(*appends, return_exceptions=True)
    assert isinstance(said[0], asyncio.CancelledError)
    assert [type(one) for one in said[1:]] == [OutcomeUnknownError] * 2
    assert failures == []
