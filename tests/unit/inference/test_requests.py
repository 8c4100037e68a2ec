"""The exact problem of everything that can not be answered."""

import asyncio
import json
import math
import threading
from pathlib import Path

import httpx
import pytest

from services.featuresets.fingerprint import fingerprint
from services.online.errors import (
    ForeignFingerprintError,
    OnlineStoreAwayError,
    OnlineStoreError,
)
from tests.support.inference_world import (
    INPUTS,
    InferenceWorld,
    expect_problem,
    expected,
)
from tests.support.model_kit import COLUMNS, V1

# --- rows that are unfit


async def test_an_unknown_ticker_is_told_before_all_else(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    world.features.put("MSFT", age_s=31)
    response = await client.post("/predict", json={"tickers": ["AAPL", "MSFT", "NOPE"]})
    document = expect_problem(response, 404, "UNKNOWN_TICKER")
    assert document["pointer"] == "#/tickers/2"
    assert [fault["reason"] for fault in document["errors"]] == [
        "UNKNOWN_TICKER", "STALE_FEATURES",
    ]  # fmt: skip
    assert "'NOPE'" in document["detail"]
    assert world.sink.taken == []


async def test_stale_features_are_refused_with_their_age(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    world.features.put("AAPL", age_s=30)
    assert (await client.post("/predict", json={"tickers": ["AAPL"]})).status_code == 200
    world.features.put("AAPL", age_s=31)
    document = expect_problem(
        await client.post("/predict", json={"tickers": ["AAPL"]}), 503, "STALE_FEATURES"
    )
    assert "31,000 ms old, 30,000 ms are allowed" in document["detail"]
    expect_problem(await client.get("/explain?ticker=AAPL"), 503, "STALE_FEATURES")
    assert world.metric('outcry_inference_rows_unfit_total{reason="STALE_FEATURES"}') == 2


async def test_features_of_the_future_are_refused_beyond_what_clocks_may_differ(
    tmp_path: Path,
) -> None:
    for policy in ("refuse", "degrade"):
        world = InferenceWorld(tmp_path / policy, inference_unfit_policy=policy)
        world.registry.add(1)
        world.serve(1)
        asked = {"tickers": ["AAPL"]}
        async with world.client() as client:
            world.features.put("AAPL", age_s=-5)
            within = (await client.post("/predict", json=asked)).json()["predictions"][0]
            assert (within["feature_age_ms"], within["degraded"]) == (0, False)
            world.features.put("AAPL", age_s=-6)
            beyond = await client.post("/predict", json=asked)
        if policy == "refuse":
            document = expect_problem(beyond, 503, "FUTURE_FEATURES")
            assert "6,000 ms ahead, 5,000 ms are allowed" in document["detail"]
        else:
            part = beyond.json()["predictions"][0]
            assert (part["degraded"], part["reason"]) == (True, "FUTURE_FEATURES")
            assert (part["predicted_class"], part["feature_age_ms"]) == (None, -6_000)
        assert world.metric('outcry_inference_rows_unfit_total{reason="FUTURE_FEATURES"}') == 1
        world.close()


async def test_features_that_are_not_defined_are_refused_by_name(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    world.features.put("AAPL", return_1s=None, spread=None)
    document = expect_problem(
        await client.post("/predict", json={"tickers": ["MSFT", "AAPL"]}),
        503,
        "UNDEFINED_FEATURES",
    )
    assert document["pointer"] == "#/tickers/1"
    assert "'return_1s', 'spread'" in document["detail"]
    assert world.sink.taken == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
async def test_a_row_with_a_number_that_is_none_is_never_predicted_from(
    world: InferenceWorld, client: httpx.AsyncClient, value: float
) -> None:
    world.features.put("AAPL", return_1s=value)
    response = await client.post("/predict", json={"tickers": ["AAPL"]})
    expect_problem(response, 503, "UNDEFINED_FEATURES")


async def test_by_policy_an_answer_has_stale_rows_and_gaps_and_says_so(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path, inference_unfit_policy="degrade")
    world.registry.add(1)
    world.serve(1)
    world.features.put("AAPL", age_s=99)
    world.features.put("MSFT", return_1s=None)
    async with world.client() as client:
        response = await client.post("/predict", json={"tickers": ["AAPL", "MSFT", "NVDA"]})
        unknown = await client.post("/predict", json={"tickers": ["AAPL", "NOPE"]})
    stale, gap, good = response.json()["predictions"]
    assert (stale["degraded"], stale["reason"]) == (True, "STALE_FEATURES")
    assert stale["feature_age_ms"] == 99_000
    assert list(stale["probabilities"].values()) == expected(world)
    assert (gap["degraded"], gap["reason"]) == (True, "UNDEFINED_FEATURES")
    assert (gap["predicted_class"], gap["probabilities"]) == (None, None)
    assert (good["degraded"], good["reason"]) == (False, None)
    assert [(p.ticker, p.is_degraded) for p in world.sink.predictions] == [
        ("AAPL", True), ("NVDA", False),
    ]  # fmt: skip
    expect_problem(unknown, 404, "UNKNOWN_TICKER")
    world.close()


async def test_in_a_replay_of_history_any_age_will_do(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path, inference_feature_age_s_max=0)
    world.registry.add(1)
    world.serve(1)
    world.features.put("AAPL", age_s=400_000_000)
    world.features.put("MSFT", age_s=-400_000_000)
    async with world.client() as client:
        response = await client.post("/predict", json={"tickers": ["AAPL", "MSFT"]})
    old, ahead = response.json()["predictions"]
    assert (old["feature_age_ms"], ahead["feature_age_ms"]) == (400_000_000_000, 0)
    assert not old["degraded"]
    assert not ahead["degraded"]
    world.close()


@pytest.mark.parametrize(
    "failure,reason",
    [
        (OnlineStoreAwayError("the online store does not answer"), "ONLINE_STORE_AWAY"),
        (ForeignFingerprintError("the row of AAPL was made by later"), "FOREIGN_FEATURES"),
        (OnlineStoreError("no such table; remove online.db"), "ONLINE_STORE_BROKEN"),
    ],
)
async def test_an_online_store_that_cannot_be_read_is_told_with_its_cause(
    world: InferenceWorld, client: httpx.AsyncClient, failure: Exception, reason: str
) -> None:
    world.features.failure = failure
    response = await client.post("/predict", json={"tickers": ["AAPL"]})
    assert expect_problem(response, 503, reason)["detail"] == str(failure)
    assert (await client.get("/health")).status_code == 200
    world.features.failure = None
    assert (await client.post("/predict", json={"tickers": ["AAPL"]})).status_code == 200


def _wait(release: threading.Event) -> None:
    release.wait(60)


async def test_a_store_that_hangs_holds_one_request_and_not_the_rest(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path, inference_answer_timeout_ms=50)
    world.registry.add(1)
    world.serve(1)
    release = threading.Event()
    world.features.before_read = lambda: _wait(release)
    async with world.client() as client:
        response = await client.post("/predict", json={"tickers": ["AAPL"]})
        expect_problem(response, 504, "ANSWER_TIMEOUT")
        assert (await client.get("/health")).status_code == 200
    release.set()
    world.close()


async def test_a_store_that_holds_all_threads_stops_no_given_features_and_nothing_is_recorded_late(
    tmp_path: Path,
) -> None:
    world = InferenceWorld(tmp_path, inference_answer_timeout_ms=50, inference_threads=2)
    world.registry.add(1)
    world.serve(1)
    release = threading.Event()
    world.features.before_read = lambda: _wait(release)
    async with world.client() as client:
        asked = [client.post("/predict", json={"tickers": ["AAPL"]}) for _ in range(3)]
        for response in await asyncio.gather(*asked, client.get("/explain?ticker=AAPL")):
            expect_problem(response, 504, "ANSWER_TIMEOUT")
        answer = await client.post("/predict/vector", json={"features": INPUTS})
        assert answer.status_code == 200, "the threads of the store are not its own"
        release.set()
        world.close()
    assert world.sink.taken == [], "of an answer that nobody got"
    assert "outcry_inference_predictions_total{" not in world.telemetry.exposition().decode()


# --- bad input


@pytest.mark.parametrize(
    "features,reason,names",
    [
        ({"return_1s": math.nan}, "NAN_FEATURE", ["return_1s"]),
        ({"return_1s": math.inf, "spread": -math.inf}, "INFINITE_FEATURE", ["return_1s", "spread"]),
        ({"return_1s": 1e39}, "INFINITE_FEATURE", ["return_1s"]),
        ({"return_1s": None}, "NULL_FEATURE", ["return_1s"]),
        ({"return_1s": "1"}, "FEATURE_NOT_A_NUMBER", ["return_1s"]),
        ({"return_1s": True}, "FEATURE_NOT_A_NUMBER", ["return_1s"]),
        ({"return_1s": [1]}, "FEATURE_NOT_A_NUMBER", ["return_1s"]),
        ({"return_2s": 1.0}, "EXTRA_FEATURE", ["return_2s"]),
        ({"mid": 1.0}, "EXTRA_FEATURE", ["mid"]),
        ({"a/b~é": 1.0}, "EXTRA_FEATURE", ["a~1b~0\\xe9"]),
    ],
)
async def test_features_that_are_none_are_refused_by_name(
    world: InferenceWorld,
    client: httpx.AsyncClient,
    features: dict[str, object],
    reason: str,
    names: list[str],
) -> None:
    body = json.dumps({"features": INPUTS | features})
    response = await client.post(
        "/predict/vector", content=body, headers={"Content-Type": "application/json"}
    )
    document = expect_problem(response, 422, reason)
    assert [fault["pointer"] for fault in document["errors"]] == [
        f"#/features/{name}" for name in names
    ]
    assert world.sink.taken == []


async def test_missing_and_renamed_features_are_refused_by_the_name_that_is_missing(
    client: httpx.AsyncClient,
) -> None:
    fewer = {name: INPUTS[name] for name in COLUMNS[1:]}
    for features in (fewer, fewer | {"return_1_s": 0.0}):
        response = await client.post("/predict/vector", json={"features": features})
        document = expect_problem(response, 422, "MISSING_FEATURE")
        assert document["pointer"] == f"#/features/{COLUMNS[0]}"
    expect_problem(
        await client.post("/predict/vector", json={"features": {}}), 422, "MISSING_FEATURE"
    )


@pytest.mark.parametrize(
    "path,body,status,reason,pointer",
    [
        ("/predict", {}, 422, "MISSING_FIELD", "#/tickers"),
        ("/predict", {"tickers": []}, 422, "INVALID_FIELD", "#/tickers"),
        ("/predict", {"tickers": "AAPL"}, 422, "INVALID_FIELD", "#/tickers"),
        ("/predict", {"tickers": ["AAPL", 5]}, 422, "INVALID_FIELD", "#/tickers/1"),
        ("/predict", {"tickers": ["../x"]}, 422, "INVALID_FIELD", "#/tickers/0"),
        ("/predict", {"tickers": ["AAPL", "AAPL"]}, 422, "INVALID_FIELD", "#/tickers/1"),
        ("/predict", {"tickers": ["AAPL"], "model": 3}, 422, "UNKNOWN_FIELD", "#/model"),
        ("/predict", {"tickers": ["AAPL"], "fingerprint": 3}, 422, "INVALID_FIELD",
         "#/fingerprint"),
        ("/predict", {"tickers": ["A"] * 101}, 422, "TOO_MANY_TICKERS", "#/tickers"),
        ("/predict/vector", {}, 422, "MISSING_FIELD", "#/features"),
        ("/predict/vector", {"features": [1.0]}, 422, "INVALID_FIELD", "#/features"),
        ("/predict/vector", {"features": {}, "ticker": "AAPL"}, 422, "UNKNOWN_FIELD", "#/ticker"),
        ("/admin/reload", {"force": True}, 422, "UNKNOWN_FIELD", "#/force"),
    ],
)  # fmt: skip
async def test_a_body_of_another_shape_is_refused_by_its_member(
    world: InferenceWorld,
    client: httpx.AsyncClient,
    path: str,
    body: dict[str, object],
    status: int,
    reason: str,
    pointer: str,
) -> None:
    document = expect_problem(await client.post(path, json=body), status, reason)
    assert document["pointer"] == pointer
    assert world.sink.taken == []


async def test_ten_thousand_tickers_are_refused_before_they_are_read(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    tickers = [f"T{number}" for number in range(10_000)]
    response = await client.post("/predict", json={"tickers": tickers})
    document = expect_problem(response, 413, "BODY_TOO_LARGE")
    assert document["bytes_max"] == 16_384
    assert "ask in parts of at most 100 tickers" in document["detail"]
    world.features.failure = AssertionError("nothing may be read")
    response = await client.post("/predict", json={"tickers": tickers[:1_000]})
    document = expect_problem(response, 422, "TOO_MANY_TICKERS")
    assert "names 1,000 tickers; ask in parts of at most 100" in document["detail"]


@pytest.mark.parametrize(
    "content,reason,status",
    [
        (b"", "INVALID_JSON", 400),
        (b"[]", "INVALID_JSON", 400),
        (b'{"tickers": ["AAPL"], "tickers": ["MSFT"]}', "INVALID_JSON", 400),
        (b"\xff", "INVALID_JSON", 400),
        (b"[" * 10_000, "INVALID_JSON", 400),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    client: httpx.AsyncClient, content: bytes, reason: str, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post("/predict", content=content, headers=headers)
    expect_problem(response, status, reason)


async def test_a_page_of_another_site_gets_nothing_in(client: httpx.AsyncClient) -> None:
    response = await client.post("/admin/reload", content=b"{}")
    expect_problem(response, 415, "UNSUPPORTED_MEDIA_TYPE")
    response = await client.get("/models", headers={"Host": "evil.example"})
    expect_problem(response, 421, "WRONG_HOST")


@pytest.mark.parametrize(
    "method,path,status,reason",
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/predict", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/docs", 404, "NOT_FOUND"),
        ("GET", "/explain", 400, "INVALID_PARAMETER"),
        ("GET", "/explain?ticker=AAPL&ticker=MSFT&x=1", 400, "INVALID_PARAMETER"),
        ("GET", "/explain?ticker=..%2F", 400, "INVALID_PARAMETER"),
        ("GET", "/explain?ticker=NOPE", 404, "UNKNOWN_TICKER"),
    ],
)
async def test_a_wrong_path_method_or_parameter_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int, reason: str
) -> None:
    expect_problem(await client.request(method, path), status, reason)


async def test_an_id_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    for bad in ("", "a b", "x" * 65):
        response = await client.post(
            "/predict", json={"tickers": ["AAPL"]}, headers={"X-Request-Id": bad}
        )
        document = expect_problem(response, 400, "INVALID_PARAMETER")
        assert document["pointer"] == "header:X-Request-Id"


async def test_a_request_for_other_definitions_is_refused(client: httpx.AsyncClient) -> None:
    same = {"tickers": ["AAPL"], "fingerprint": fingerprint(V1)}
    assert (await client.post("/predict", json=same)).status_code == 200
    other = same | {"fingerprint": "0" * 64}
    document = expect_problem(await client.post("/predict", json=other), 409, "OTHER_FINGERPRINT")
    assert document["fingerprint"] == fingerprint(V1)


# --- the log


async def test_when_no_more_predictions_may_wait_requests_are_refused_and_counted(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    world.sink.room = 2
    for _ in range(2):
        assert (await client.post("/predict", json={"tickers": ["AAPL"]})).status_code == 200
    response = await client.post("/predict", json={"tickers": ["AAPL"]})
    assert expect_problem(response, 503, "LOG_UNAVAILABLE")["detail"].startswith("2 predictions")
    assert world.metric("outcry_inference_requests_refused_unrecorded_total") == 1
    features = {"features": INPUTS}
    assert (await client.post("/predict/vector", json=features)).status_code == 200
    world.sink.room = 3
    assert (await client.post("/predict", json={"tickers": ["AAPL"]})).status_code == 200
