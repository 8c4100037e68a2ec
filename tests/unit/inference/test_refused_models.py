"""Every way in which a new champion may be bad: the old one answers, and it is seen."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from services.inference.core import Alias
from services.inference.reload import LoadRefusal
from services.models.errors import Refusal
from services.models.predictors import LinearPredictor
from services.models.vector import Matrix
from tests.support.forge import edit_json, edit_manifest
from tests.support.inference_world import InferenceWorld, expected
from tests.support.model_kit import COLUMNS

type Plant = Callable[[InferenceWorld, Path, pytest.MonkeyPatch], object]


def _say(**changes: object) -> Plant:
    """Another manifest, of the same files."""
    return lambda _w, folder, _p: edit_manifest(folder, lambda found: found.update(changes))


def _cut(name: str) -> Plant:
    def plant(_: InferenceWorld, folder: Path, __: pytest.MonkeyPatch) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-9])

    return plant


def _forge(name: str, forgery: Callable[[dict[str, list[list[float]]]], object]) -> Plant:
    """Other numbers in a file, with its right hash."""
    return lambda _w, folder, _p: edit_json(folder, name, forgery)


def _slow(_: InferenceWorld, __: Path, patched: pytest.MonkeyPatch) -> None:
    plain = LinearPredictor.probabilities

    def slow(self: LinearPredictor, matrix: Matrix) -> Matrix:
        time.sleep(0.006)
        return plain(self, matrix)

    patched.setattr(LinearPredictor, "probabilities", slow)


def _other_feast(world: InferenceWorld, _: Path, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(world.features, "stated", "0" * 64)


def _gone(_: InferenceWorld, folder: Path, __: pytest.MonkeyPatch) -> None:
    folder.rename(folder.with_name("elsewhere"))


BAD: list[tuple[Plant, str]] = [
    (_say(columns=list(COLUMNS[:-1])), Refusal.WRONG_COLUMNS),
    (_say(columns=list(COLUMNS[::-1])), Refusal.WRONG_SCHEMA),
    (_forge("model.json", lambda form: form["mean"].pop()), Refusal.WRONG_COLUMNS),
    (_say(classes=["up", "flat", "down"]), Refusal.WRONG_CLASSES),
    (_forge("model.json", lambda form: form["weights"].pop()), Refusal.WRONG_CLASSES),
    (_cut("model.json"), Refusal.WRONG_SHA256),
    (_cut("golden.json"), Refusal.WRONG_SHA256),
    (_cut("manifest.json"), Refusal.MALFORMED),
    (_forge("golden.json", lambda g: g["probabilities"][3].reverse()), Refusal.GOLDEN_DIFFERS),
    (_say(format=99), Refusal.NEWER_FORMAT),
    (_say(fingerprint="0" * 64), Refusal.WRONG_FINGERPRINT),
    (_say(feature_set="microstructure_v9"), Refusal.UNKNOWN_FEATURE_SET),
    (_say(name="direction_60s"), LoadRefusal.WRONG_NAME),
    (_slow, LoadRefusal.TOO_SLOW),
    (_other_feast, LoadRefusal.FOREIGN_FEATURES),
    (_gone, LoadRefusal.NOT_REGISTERED),
]


@pytest.mark.parametrize("plant,reason", BAD)
async def test_whatever_is_wrong_with_a_new_champion_the_old_one_answers_and_it_is_seen(
    world: InferenceWorld,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
    reason: str,
) -> None:
    right = expected(world)
    counted = f'outcry_inference_models_refused_total{{alias="champion",reason="{reason}"}}'
    folder = world.registry.add(2)
    world.registry.named[Alias.CHAMPION] = 2
    with monkeypatch.context() as patched:
        plant(world, folder, patched)
        for times in (1, 2):
            asked = await client.post("/admin/reload", json={})
            outcome = asked.json()["outcomes"][0]
            assert (outcome["outcome"], outcome["version"]) == ("refused", 1)
            assert outcome["reason"] == reason
            assert world.metric(counted) == times
    assert world.metric('outcry_inference_model_refused{alias="champion"}') == 1
    assert world.metric('outcry_inference_model_version{alias="champion"}') == 1
    answer = (await client.post("/predict", json={"tickers": ["AAPL"]})).json()
    assert answer["model"]["version"] == 1
    assert list(answer["predictions"][0]["probabilities"].values()) == right
    noted = json.loads((await client.get("/models")).content)["refused"]["champion"]
    assert (noted["version"], noted["reason"]) == (2, reason)
