"""Models come and go while requests are under way; a bad one never comes."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from services.inference.core import Alias
from services.inference.reload import LoadRefusal, Poller, Reloader
from services.models.errors import Refusal
from services.models.manifest import Golden
from services.models.predictors import LinearPredictor
from tests.support.inference_world import InferenceWorld, eventually, expect_problem
from tests.support.model_kit import linear_model, xgboost_model
from tests.support.waiting import wait_until

RELOADS = 20
ASKED = {"tickers": ["AAPL"]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[InferenceWorld]:
    """With a champion, version 1."""
    made = InferenceWorld(tmp_path)
    made.registry.add(1)
    made.serve(1)
    yield made
    made.close()


def refused(world: InferenceWorld, reason: str) -> float:
    return world.metric(
        f'outcry_inference_models_refused_total{{alias="champion",reason="{reason}"}}'
    )


def is_shown_refused(world: InferenceWorld, alias: Alias = Alias.CHAMPION) -> bool:
    """What an alert on the gauge sees; it must be there."""
    line = f'outcry_inference_model_refused{{alias="{alias}"}} '
    (found,) = (each for each in exposed(world) if each.startswith(line))
    return float(found.removeprefix(line)) == 1


def exposed(world: InferenceWorld) -> list[str]:
    return world.telemetry.exposition().decode().splitlines()


def champion_version(world: InferenceWorld) -> int:
    model = world.slots.get(Alias.CHAMPION)
    assert model is not None
    return model.version


def look(world: InferenceWorld, *, again: bool = False) -> tuple[str, str | None]:
    """What a look at the champion came to, and why."""
    outcome = world.reloader.check(again=again)[0]
    return outcome.outcome, outcome.reason


# --- exchange


async def test_a_request_under_way_finishes_on_the_model_that_it_began_with(
    world: InferenceWorld,
) -> None:
    world.registry.add(2, linear_model(2))
    begun, release = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        release.wait(60)

    world.features.before_read = wait
    async with world.client() as client:
        first = asyncio.create_task(client.post("/predict", json=ASKED))
        await eventually(begun.is_set)
        world.features.before_read = lambda: None
        world.serve(2)
        second = await client.post("/predict", json=ASKED)
        release.set()
        old = await first
    assert (old.status_code, old.json()["model"]["version"]) == (200, 1)
    assert (second.status_code, second.json()["model"]["version"]) == (200, 2)
    assert (
        old.json()["predictions"][0]["probabilities"]
        != (second.json()["predictions"][0]["probabilities"])
    )
    assert {(p.request_id, p.model_version) for p in world.sink.predictions} == {
        (old.json()["request_id"], 1), (second.json()["request_id"], 2),
    }  # fmt: skip


async def test_of_all_requests_during_twenty_reloads_none_fails_or_mixes_models(
    world: InferenceWorld,
) -> None:
    for version in range(2, RELOADS + 2):
        world.registry.add(version, linear_model(version))
    right = {
        version: list(
            world.registry.load(version).loaded.predictor.probabilities(
                np.array([[0.25 * place for place in range(16)]])
            )[0]
        )
        for version in range(1, RELOADS + 2)
    }
    answers: list[httpx.Response] = []
    enough = asyncio.Event()

    async def ask(client: httpx.AsyncClient) -> None:
        while not enough.is_set():
            answers.append(await client.post("/predict", json=ASKED))

    async with world.client() as client:
        asking = [asyncio.create_task(ask(client)) for _ in range(4)]
        for version in range(2, RELOADS + 2):
            world.registry.named[Alias.CHAMPION] = version
            done = await client.post("/admin/reload", json={})
            assert done.json()["outcomes"][0]["outcome"] == "loaded"
        enough.set()
        await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    seen = set()
    for answer in answers:
        document = answer.json()
        version = document["model"]["version"]
        seen.add(version)
        found = list(document["predictions"][0]["probabilities"].values())
        assert found == right[version], "a name of one model with the numbers of another"
    assert len(seen) > RELOADS // 2


def test_a_version_that_serves_already_is_not_loaded_again(world: InferenceWorld) -> None:
    loads = world.registry.loads
    assert look(world) == ("unchanged", None)
    assert world.registry.loads == loads


def test_an_alias_that_is_taken_away_empties_its_place_but_the_champions(
    world: InferenceWorld,
) -> None:
    world.registry.add(2, linear_model(2))
    world.serve(2, Alias.SHADOW)
    assert world.metric('outcry_inference_model_version{alias="shadow"}') == 2
    world.registry.named.clear()
    champion, challenger, shadow = world.reloader.check()
    assert (champion.outcome, champion.version) == ("kept", 1)
    assert (challenger.outcome, shadow.outcome) == ("unchanged", "emptied")
    assert world.slots.get(Alias.SHADOW) is None
    assert world.metric('outcry_inference_model_version{alias="shadow"}') == 0
    assert champion_version(world) == 1


# --- what is not let in


def test_a_poisoned_artifact_is_refused_unread_and_the_old_model_serves_on(
    world: InferenceWorld, tmp_path: Path
) -> None:
    folder = world.registry.add(2)
    ran = tmp_path / "ran"
    poison = b"cposix\nsystem\n(S'touch " + str(ran).encode() + b"'\ntR."
    (folder / "model.pkl").write_bytes(poison)
    world.registry.named[Alias.CHAMPION] = 2
    assert look(world) == ("refused", Refusal.FOREIGN_FILE)
    (folder / "model.pkl").unlink()
    (folder / "model.json").write_bytes(poison)
    assert look(world, again=True) == ("refused", Refusal.WRONG_SHA256)
    assert not ran.exists()
    assert champion_version(world) == 1
    assert (refused(world, "foreign_file"), refused(world, "wrong_sha256")) == (1, 1)


def test_one_changed_byte_of_any_file_is_refused(world: InferenceWorld) -> None:
    folder = world.registry.add(2, xgboost_model())
    world.registry.named[Alias.CHAMPION] = 2
    for name in ("model.ubj", "golden.json"):
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        assert look(world, again=True) == ("refused", Refusal.WRONG_SHA256)
        (folder / name).write_bytes(good)
    assert champion_version(world) == 1
    assert look(world, again=True) == ("loaded", None)


def test_a_model_whose_golden_vectors_do_not_reproduce_is_refused(world: InferenceWorld) -> None:
    folder = world.registry.add(2)
    golden = msgspec.json.decode((folder / "golden.json").read_bytes(), type=Golden)
    first = golden.probabilities[0]
    planted = Golden(golden.vectors, ((first[1], first[0], first[2]), *golden.probabilities[1:]))
    text = msgspec.json.encode(planted)
    (folder / "golden.json").write_bytes(text)
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    from hashlib import sha256

    manifest["files"]["golden.json"] = sha256(text).hexdigest()
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    world.registry.named[Alias.CHAMPION] = 2
    assert look(world) == ("refused", Refusal.GOLDEN_DIFFERS)
    assert champion_version(world) == 1


def test_a_model_of_other_feature_definitions_is_refused(world: InferenceWorld) -> None:
    world.registry.add(2, fingerprint="0" * 64)
    world.registry.named[Alias.CHAMPION] = 2
    assert look(world) == ("refused", Refusal.WRONG_FINGERPRINT)
    world.registry.add(3, feature_set="microstructure_v9")
    world.registry.named[Alias.CHAMPION] = 3
    assert look(world) == ("refused", Refusal.UNKNOWN_FEATURE_SET)
    assert champion_version(world) == 1


def test_a_model_of_another_horizon_is_refused(world: InferenceWorld) -> None:
    world.registry.add(2, name="direction_60s")
    world.registry.named[Alias.CHAMPION] = 2
    assert look(world) == ("refused", LoadRefusal.WRONG_NAME)


def test_a_model_that_is_slower_than_the_limit_is_refused(
    world: InferenceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.registry.add(2, linear_model(2))
    world.registry.named[Alias.CHAMPION] = 2
    plain = LinearPredictor.probabilities

    def slow(self: LinearPredictor, matrix: object) -> object:
        time.sleep(0.006)
        return plain(self, matrix)  # type: ignore[arg-type]  # as it came

    with monkeypatch.context() as patched:
        patched.setattr(LinearPredictor, "probabilities", slow)
        assert look(world) == ("refused", LoadRefusal.TOO_SLOW)
    assert champion_version(world) == 1
    assert "5 are allowed" in world.slots.refusals[Alias.CHAMPION].detail


def test_a_version_whose_files_are_gone_is_refused(world: InferenceWorld) -> None:
    world.registry.named[Alias.CHAMPION] = 7
    assert look(world) == ("refused", LoadRefusal.NOT_REGISTERED)
    assert champion_version(world) == 1


def test_a_refused_version_is_tried_again_only_when_somebody_asks(world: InferenceWorld) -> None:
    world.registry.add(2, fingerprint="0" * 64)
    world.registry.named[Alias.CHAMPION] = 2
    for _ in range(3):
        assert look(world) == ("refused", Refusal.WRONG_FINGERPRINT)
    assert refused(world, "wrong_fingerprint") == 1
    assert look(world, again=True) == ("refused", Refusal.WRONG_FINGERPRINT)
    assert refused(world, "wrong_fingerprint") == 2
    world.registry.named[Alias.CHAMPION] = 1
    assert look(world) == ("unchanged", None)
    assert Alias.CHAMPION not in world.slots.refusals


def test_what_is_alerted_on_is_there_from_the_start(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    series = set(exposed(world))
    for alias in Alias:
        assert f'outcry_inference_model_refused{{alias="{alias}"}} 0.0' in series
        for reason in (*Refusal, *LoadRefusal):
            labels = f'alias="{alias}",reason="{reason}"'
            assert f"outcry_inference_models_refused_total{{{labels}}} 0.0" in series
    world.close()


def test_a_version_is_shown_as_refused_for_as_long_as_it_has_its_alias_and_is(
    world: InferenceWorld,
) -> None:
    assert not is_shown_refused(world)
    world.registry.add(2, fingerprint="0" * 64)
    world.registry.named[Alias.CHAMPION] = 2
    for _ in range(2):
        look(world)
        assert is_shown_refused(world)
    world.registry.is_away = True
    assert look(world) == ("registry_away", None)
    assert is_shown_refused(world)
    world.registry.is_away = False
    world.registry.named[Alias.CHAMPION] = 1
    look(world)
    assert not is_shown_refused(world)
    world.registry.named[Alias.SHADOW] = 2
    look(world)
    assert is_shown_refused(world, Alias.SHADOW)
    del world.registry.named[Alias.SHADOW]
    look(world)
    assert not is_shown_refused(world, Alias.SHADOW)
    assert Alias.SHADOW not in world.slots.refusals
    world.registry.named[Alias.SHADOW] = 2
    look(world)
    assert is_shown_refused(world, Alias.SHADOW)
    world.registry.add(3, linear_model(3))
    world.registry.named[Alias.SHADOW] = 3
    look(world)
    assert not is_shown_refused(world, Alias.SHADOW)


def test_what_feast_does_not_state_yet_is_waited_for(world: InferenceWorld) -> None:
    world.registry.add(2, linear_model(2))
    world.registry.named[Alias.CHAMPION] = 2
    stated = world.features.stated
    world.features.stated = "0" * 64
    for _ in range(2):
        assert look(world) == ("refused", LoadRefusal.FOREIGN_FEATURES)
    assert refused(world, "foreign_features") == 2
    world.features.stated = stated
    assert look(world) == ("loaded", None)


def test_a_set_that_feast_does_not_know_is_waited_for(tmp_path: Path) -> None:
    world = InferenceWorld(tmp_path)
    world.registry.add(1)
    world.registry.named[Alias.CHAMPION] = 1
    from services.online.errors import UnknownServiceError

    def unknown(feature_set: str) -> object:
        raise UnknownServiceError(f"no FeatureService {feature_set!r}; there are: none")

    reloader = Reloader(
        "direction_10s", world.registry, unknown, world.slots, world.telemetry,  # type: ignore[arg-type]  # it never returns
        aliases=[Alias.CHAMPION], row_ms_max=50,
    )  # fmt: skip
    for _ in range(2):
        assert reloader.check()[0].reason == LoadRefusal.NO_FEATURE_SERVICE
    assert refused(world, "no_feature_service") == 2
    world.close()


# --- asked for


async def ask_for_reload(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/admin/reload", json={})


async def test_reloads_that_are_asked_for_during_one_share_the_next(
    world: InferenceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.registry.add(2, linear_model(2))
    begun, release = threading.Event(), threading.Event()
    looks: list[int] = []
    plain = world.registry.aliases

    def aliases() -> object:
        found = plain()
        looks.append(1)
        begun.set()
        release.wait(60)
        return found

    monkeypatch.setattr(world.registry, "aliases", aliases)
    async with world.client() as client:
        first = asyncio.create_task(ask_for_reload(client))
        await eventually(begun.is_set)
        world.registry.named[Alias.CHAMPION] = 2  # Too late for the look under way.
        others = [asyncio.create_task(ask_for_reload(client)) for _ in range(5)]
        await eventually(lambda: world.here.reloads.waiting == 5)
        release.set()
        answers = [(await each).json()["outcomes"][0] for each in (first, *others)]
    assert [each["outcome"] for each in answers] == ["unchanged"] + ["loaded"] * 5
    assert len(looks) == 2


async def test_a_reload_that_takes_too_long_is_told_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = InferenceWorld(tmp_path, inference_reload_timeout_ms=20)
    world.registry.add(1)
    world.registry.named[Alias.CHAMPION] = 1
    release = threading.Event()
    plain = world.registry.load

    def load(version: int) -> object:
        release.wait(60)
        return plain(version)

    monkeypatch.setattr(world.registry, "load", load)
    async with world.client() as client:
        for _ in range(3):
            problem = expect_problem(await ask_for_reload(client), 503, "RELOAD_TIMEOUT")
            assert "20 ms" in problem["detail"]
            assert "GET /models" in problem["detail"]
    release.set()
    world.close()
    assert champion_version(world) == 1


async def test_a_stopping_room_looks_at_no_registry(world: InferenceWorld) -> None:
    world.here.stopping = True
    async with world.client() as client:
        expect_problem(await ask_for_reload(client), 503, "STOPPING")


# --- the registry away


async def test_while_the_registry_is_away_the_model_serves_on(world: InferenceWorld) -> None:
    world.registry.is_away = True
    assert [each.outcome for each in world.reloader.check()] == ["registry_away"] * 3
    async with world.client() as client:
        answer = await client.post("/predict", json=ASKED)
        assert (answer.status_code, answer.json()["model"]["version"]) == (200, 1)
        ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["registry_answers"]) == (200, False)
    assert world.metric("outcry_inference_registry_failures_total") == 3
    world.registry.is_away = False
    assert look(world) == ("unchanged", None)
    assert not world.reloader.is_registry_away


def test_the_poller_takes_a_new_champion_and_outlives_what_nobody_knew(
    world: InferenceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.registry.add(2, linear_model(2))
    poller = Poller(world.reloader, 0.01, world.telemetry)
    with monkeypatch.context() as patched:
        patched.setattr(world.registry, "aliases", lambda: 1 / 0)
        poller.start()
        assert poller.looked.wait(60)
    world.registry.named[Alias.CHAMPION] = 2
    wait_until(lambda: champion_version(world) == 2, "the new champion", 60)
    poller.close()
    assert world.metric("outcry_inference_registry_failures_total") >= 1
