"""What is at hand is answered without a thread, as a thread would answer it."""

import dataclasses
import threading
from typing import Any

import httpx
import pytest

from services.inference.core import Alias
from services.inference.desk import AT_ONCE_MS_MAX
from tests.support.inference_world import InferenceWorld, expect_problem, expected

ASKED = {"tickers": ["AAPL", "TSLA"]}


@pytest.fixture
def readers(world: InferenceWorld) -> list[str]:
    """The threads in which rows are read, in turn."""
    names: list[str] = []
    world.features.before_read = lambda: names.append(threading.current_thread().name)
    return names


async def ask(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.post("/predict", json=ASKED, headers={"X-Request-Id": "r-1"})
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


async def test_rows_at_hand_are_answered_on_the_event_loop_and_recorded_alike(
    world: InferenceWorld, client: httpx.AsyncClient, readers: list[str]
) -> None:
    from_thread = await ask(client)
    world.features.is_at_hand = True
    at_once = await ask(client)
    assert at_once == from_thread
    assert list(at_once["predictions"][0]["probabilities"].values()) == expected(world)
    assert readers[0].startswith("predict")
    assert readers[1:] == [threading.main_thread().name]
    assert world.sink.predictions[:2] == world.sink.predictions[2:]


async def test_a_model_that_takes_long_is_asked_on_a_thread(
    world: InferenceWorld, client: httpx.AsyncClient, readers: list[str]
) -> None:
    world.features.is_at_hand = True
    champion = world.slots.all()[Alias.CHAMPION]
    slow = AT_ONCE_MS_MAX / len(ASKED["tickers"]) * 1.01
    world.slots.put(Alias.CHAMPION, dataclasses.replace(champion, row_ms=slow))
    await ask(client)
    assert readers[0].startswith("predict")
    world.slots.put(Alias.CHAMPION, dataclasses.replace(champion, row_ms=slow / 2))
    await ask(client)
    assert readers[1] == threading.main_thread().name


async def test_what_is_refused_is_refused_at_once_as_well(
    world: InferenceWorld, client: httpx.AsyncClient
) -> None:
    world.features.is_at_hand = True
    world.features.put("TSLA", age_s=1_000_000)
    expect_problem(await client.post("/predict", json=ASKED), 503, "STALE_FEATURES")
    world.here.stopping = True
    expect_problem(await client.post("/predict", json=ASKED), 503, "STOPPING")
    assert world.sink.taken == []
