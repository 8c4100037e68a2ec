"""What is answered, by which model, and what is recorded of it."""

import dataclasses
import json
import math
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from services.domain.origin import NOWHERE
from services.domain.predictions import REQUESTED
from services.featuresets.fingerprint import fingerprint
from services.inference.core import Alias, is_canary
from services.models.predictors import ConstantForm, ConstantPredictor
from services.models.vector import Matrix
from tests.support.inference_world import (
    FEATURES,
    INPUTS,
    NOW_US,
    SECOND_US,
    InferenceWorld,
    eventually,
    expect_problem,
    expected,
)
from tests.support.model_kit import COLUMNS, V1, constant_model, linear_model, xgboost_model

# --- answers


async def test_an_answer_names_the_model_the_features_and_their_age(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    world.features.put("MSFT", age_s=7, return_1s=-3.5)
    asked = {"tickers": ["AAPL", "MSFT"]}
    response = await client.post("/predict", json=asked, headers={"X-Request-Id": "r-1"})
    assert response.status_code == 200
    answer = response.json()
    manifest = world.slots.all()[Alias.CHAMPION].loaded.manifest
    assert answer["request_id"] == "r-1"
    assert answer["model"] == {
        "name": "direction_10s", "version": 1, "alias": "champion",
        "sha256": manifest.model_sha256,
    }  # fmt: skip
    assert (answer["feature_set"], answer["fingerprint"]) == (V1.name, fingerprint(V1))
    first, second = answer["predictions"]
    assert list(first["probabilities"].values()) == expected(world)
    assert list(second["probabilities"].values()) == expected(world, INPUTS | {"return_1s": -3.5})
    assert second["feature_age_ms"] == 7_000
    assert second["grid_time_us"] == NOW_US - 7 * SECOND_US
    likeliest = max(first["probabilities"], key=first["probabilities"].get)
    assert (first["ticker"], first["predicted_class"]) == ("AAPL", likeliest)
    assert not first["degraded"]
    assert response.headers["x-request-id"] == "r-1"
    assert response.headers["x-model"] == "direction_10s/1"
    assert response.headers["x-feature-fingerprint"] == fingerprint(V1)
    assert response.headers["cache-control"] == "no-store"


async def test_each_prediction_is_recorded_with_the_vector_that_was_served(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    response = await client.post("/predict", json={"tickers": ["AAPL", "TSLA"]})
    answer = response.json()
    assert [p.ticker for p in world.sink.predictions] == ["AAPL", "TSLA"]
    for index, (origin, made) in enumerate(world.sink.taken):
        said = answer["predictions"][index]
        assert made.request_id == answer["request_id"]
        assert made.mode == REQUESTED
        assert list(made.probabilities) == list(said["probabilities"].values())
        assert made.vector == tuple(FEATURES[name] for name in COLUMNS)
        assert (made.served_at_us, made.grid_time_us) == (NOW_US, NOW_US - SECOND_US)
        assert (made.model, made.model_version) == ("direction_10s", 1)
        assert made.fingerprint == answer["fingerprint"]
        assert not made.is_shadow
        assert (origin.topic, origin.offset, origin.index) == (NOWHERE, -1, index)


async def test_a_request_without_an_id_gets_one_of_its_own(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    ids = {(await client.post("/predict", json={"tickers": ["AAPL"]})).json()["request_id"]
           for _ in range(3)}  # fmt: skip
    assert len(ids) == 3
    assert {p.request_id for p in world.sink.predictions} == ids


async def test_the_order_of_given_features_changes_nothing(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    answers = []
    for names in (COLUMNS, reversed(COLUMNS), sorted(COLUMNS)):
        features = {name: INPUTS[name] for name in names}
        response = await client.post("/predict/vector", json={"features": features})
        answers.append(list(response.json()["probabilities"].values()))
    assert answers == [expected(world)] * 3
    assert world.sink.taken == []


async def test_explanations_add_up_to_the_score_behind_the_answer(tmp_path: Path) -> None:
    for folder, predictor in (("x", xgboost_model()), ("l", linear_model())):
        world = InferenceWorld(tmp_path / folder)
        world.registry.add(1, predictor)
        world.serve(1)
        async with world.client() as client:
            answer = (await client.get("/explain", params={"ticker": "AAPL"})).json()
        scores = {
            label: base + sum(each["added"][label] for each in answer["contributions"].values())
            for label, base in answer["base"].items()
        }
        total = sum(math.exp(score) for score in scores.values())
        for label, score in scores.items():
            assert math.exp(score) / total == pytest.approx(answer["probabilities"][label], 1e-4)
        assert {n: each["value"] for n, each in answer["contributions"].items()} == INPUTS
        assert world.sink.taken == []
        world.close()


async def test_a_model_without_contributions_says_so(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    world.registry.add(1, constant_model())
    world.serve(1)
    async with world.client() as client:
        response = await client.get("/explain", params={"ticker": "AAPL"})
    expect_problem(response, 409, "NOT_EXPLAINABLE")
    world.close()


class Telling(ConstantPredictor):
    """A predictor of another kind that says what each input added."""

    def contributions(self, matrix: Matrix) -> np.ndarray[tuple[int, int, int], Any]:
        return np.ones((len(matrix), 3, len(COLUMNS) + 1))


async def test_any_predictor_that_has_contributions_is_explained(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    world.registry.add(1, constant_model())
    world.serve(1)
    model = world.slots.get(Alias.CHAMPION)
    assert model is not None
    telling = msgspec.structs.replace(
        model.loaded, predictor=Telling(ConstantForm(len(COLUMNS), (0.25, 0.5, 0.25)))
    )
    world.slots.put(Alias.CHAMPION, dataclasses.replace(model, loaded=telling))
    async with world.client() as client:
        answer = (await client.get("/explain", params={"ticker": "AAPL"})).json()
    assert answer["base"] == {"down": 1.0, "flat": 1.0, "up": 1.0}
    assert set(answer["contributions"]) == set(COLUMNS)
    world.close()


# --- no model, canary, shadow


async def test_without_a_model_it_is_alive_and_says_the_next_step(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    world.reloader.check()
    async with world.client() as client:
        assert (await client.get("/health")).status_code == 200
        ready = await client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["status"] == "no_model"
        assert "outcry models promote" in ready.json()["next_step"]
        response = await client.post("/predict", json={"tickers": ["AAPL"]})
        assert "outcry train" in expect_problem(response, 503, "NO_MODEL")["detail"]
        world.registry.add(1)
        world.serve(1)
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["model"]["version"]) == (200, 1)
    world.close()


@pytest.mark.parametrize("percent", [0, 1, 20, 100])
def test_of_ids_that_are_counted_up_a_canary_gets_its_share(percent: int) -> None:
    chosen = sum(is_canary(f"request-{number}", percent) for number in range(20_000))
    assert abs(chosen - 200 * percent) <= 200


async def test_a_canary_answers_its_share_and_always_the_same_requests(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path, inference_canary_percent=20)
    for version in (1, 2):
        world.registry.add(version, linear_model(version))
    world.serve(1)
    ids = [f"request-{number}" for number in range(40)]
    asked = {"tickers": ["AAPL"]}

    async def aliases(client: httpx.AsyncClient) -> list[str]:
        return [
            (await client.post("/predict", json=asked, headers={"X-Request-Id": each})).json()[
                "model"
            ]["alias"]
            for each in ids
        ]

    async with world.client() as client:
        assert set(await aliases(client)) == {"champion"}
        world.serve(2, Alias.CHALLENGER)
        found = await aliases(client)
        assert found == await aliases(client)
    chosen = {each for each, alias in zip(ids, found, strict=True) if alias == "challenger"}
    assert chosen == {each for each in ids if is_canary(each, 20)}
    assert 0 < len(chosen) < len(ids)
    world.close()


async def test_a_shadow_sees_the_same_rows_and_is_in_no_answer(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    world.registry.add(2, linear_model(2))
    world.serve(2, Alias.SHADOW)
    response = await client.post("/predict", json={"tickers": ["AAPL", "MSFT"]})
    assert response.json()["model"]["version"] == 1
    assert list(response.json()["predictions"][0]["probabilities"].values()) == expected(world)
    await eventually(lambda: len(world.sink.taken) == 4)
    shadows = [p for p in world.sink.predictions if p.is_shadow]
    assert [(p.ticker, p.model_version) for p in shadows] == [("AAPL", 2), ("MSFT", 2)]
    assert {p.vector for p in shadows} == {p.vector for p in world.sink.predictions}
    assert {p.request_id for p in shadows} == {response.json()["request_id"]}


async def test_a_shadow_that_fails_or_lags_is_counted_and_touches_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = InferenceWorld(tmp_path, inference_shadow_waiting_max=1)
    for version in (1, 2):
        world.registry.add(version, linear_model(version))
    world.serve(1)
    world.serve(2, Alias.SHADOW)
    release = threading.Event()
    shadow = world.slots.all()[Alias.SHADOW].loaded.predictor

    def fail(matrix: object) -> object:
        release.wait(60)
        raise RuntimeError(f"planted for {matrix}")

    monkeypatch.setattr(shadow, "probabilities", fail)
    async with world.client() as client:
        for _ in range(3):
            response = await client.post("/predict", json={"tickers": ["AAPL"]})
            assert response.status_code == 200
    assert world.metric('outcry_inference_shadow_skipped_total{cause="busy"}') == 2
    release.set()
    world.shadow.settle()
    assert world.metric('outcry_inference_shadow_skipped_total{cause="failed"}') == 1
    assert not any(p.is_shadow for p in world.sink.predictions)
    world.close()


# --- its description


async def test_the_description_names_every_path_and_resolves(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/predict", "/predict/vector", "/explain", "/models", "/admin/reload", "/health", "/ready",
    }  # fmt: skip
    text = json.dumps(document)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in document["components"]["schemas"]


async def test_the_route_that_answers_predictions_is_counted_under_its_own_path(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    for status, body in ((200, {"tickers": ["AAPL"]}), (422, {"tickers": []})):
        assert (await client.post("/predict", json=body)).status_code == status
        line = (
            f'outcry_inference_requests_total{{method="POST",route="/predict",status="{status}"}}'
        )
        assert world.metric(line) == 1
    described = (await client.get("/openapi.json")).json()["paths"]["/predict"]
    assert set(described) == {"post"}
    assert {"200", "422", "503"} <= set(described["post"]["responses"])


async def test_models_in_service_are_shown_with_their_schema(client: httpx.AsyncClient) -> None:
    view = (await client.get("/models")).json()
    champion = view["models"]["champion"]
    assert (champion["version"], champion["columns"]) == (1, list(COLUMNS))
    assert champion["classes"] == ["down", "flat", "up"]
    assert champion["fingerprint"] == fingerprint(V1)
    assert view["refused"] == {}
