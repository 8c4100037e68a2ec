import socket

import pytest
from confluent_kafka import KafkaError

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
