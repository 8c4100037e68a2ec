"""Predictions while no broker answers: a bounded buffer, and nothing lost in silence."""

from pathlib import Path

import pytest

from services.domain.predictions import Prediction
from services.inference.core import Fit
from services.inference.metrics import METRICS
from services.inference.predictions import PredictionLog, requested
from services.runtime.kafka import KafkaConnection
from services.runtime.telemetry import Telemetry
from services.wire.codec import local_codec
from services.wire.topics import PREDICTIONS
from tests.support.inference_world import INPUTS, NOW_US, InferenceWorld
from tests.support.model_kit import COLUMNS

CODEC = local_codec()
FIT = Fit("AAPL", NOW_US, 5, [INPUTS[name] for name in COLUMNS], is_stale=False)


def test_a_prediction_is_decoded_as_it_was_made(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    world.registry.add(1)
    world.serve(1)
    (model,) = world.slots.all().values()
    (found,) = model.predict([FIT.vector])
    caused, made = requested(model, FIT, found, "r-1", NOW_US + 9, 0)
    decoded = CODEC.decode(PREDICTIONS.name, CODEC.encode(PREDICTIONS.name, caused, made))
    assert decoded.payload == made
    assert decoded.origin == caused
    world.close()


def test_predictions_wait_for_a_broker_that_is_away_up_to_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.inference.predictions._LAST_WAIT_S", 0.05)
    telemetry = Telemetry("inference", metrics=METRICS)
    log = PredictionLog(KafkaConnection("127.0.0.1:1"), CODEC, 3, telemetry)
    begun = telemetry.exposition().decode()
    for cause in ("stopped", "refused_by_log"):
        assert f'outcry_inference_predictions_lost_total{{cause="{cause}"}} 0.0' in begun
    world = InferenceWorld(tmp_path)
    world.registry.add(1)
    world.serve(1)
    (model,) = world.slots.all().values()

    def made(number: int) -> tuple[object, Prediction]:
        return requested(model, FIT, (0.2, 0.3, 0.5), f"r-{number}", NOW_US, 0)

    assert [log.offer(*made(number)) for number in range(5)] == [True] * 3 + [False] * 2  # type: ignore[arg-type]  # origins
    assert log.waiting == 3
    assert not log.settle(0.05)
    log.close()
    exposed = telemetry.exposition().decode()
    assert 'outcry_inference_predictions_lost_total{cause="stopped"} 3.0' in exposed
    world.close()
