"""Models are checked in a process of its own, which may die, hang or lie; the old one serves on."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import msgspec
import numpy as np
import psutil
import pytest

from services.inference.check_client import CheckedRegistry
from services.inference.core import Alias
from services.inference.reload import LoadRefusal, Outcome, Reloader
from services.models.artifact import MANIFEST, read_model
from services.models.errors import (
    ModelRefusedError,
    Refusal,
    RegistryAwayError,
    UnknownVersionError,
)
from services.models.predictors import Predictor
from services.models.registry import Registry
from services.runtime.telemetry import Telemetry
from tests.support.forge import edit_json
from tests.support.inference_world import InferenceWorld
from tests.support.model_kit import linear_model, put_model, rows, xgboost_model
from tests.support.waiting import wait_until

NAME = "direction_10s"
LONG_MS = 120_000
PLAYED = """
import json, os, signal, sys, time
from multiprocessing.connection import Connection

line = Connection(int(sys.argv[1]))
line.recv_bytes()
line.send_bytes(b'{"type": "ready"}')
while True:
    try:
        asked = json.loads(line.recv_bytes())
    except EOFError:
        sys.exit(0)
    if asked["type"] == "aliases":
        line.send_bytes(b'{"type": "named", "versions": {"champion": 2}}')
    else:
        CHECK
"""
"""A process that speaks as ours does, up to the check."""
CHECKING = ("services.inference.check_process", "import Connection")
"""What is in the command line of a process that checks models, and of one that is played."""

type Play = Callable[..., Reloader]


@pytest.fixture
def played(world: InferenceWorld) -> Iterator[Play]:
    """The world's reloader over a process that is played; both are closed."""
    made: list[CheckedRegistry] = []

    def play(check: str, check_ms_max: int = LONG_MS, head: str = "") -> Reloader:
        script = head + PLAYED.replace("CHECK", check)
        source = CheckedRegistry(
            world.registry.folder, "", NAME, world.telemetry,
            check_ms_max=check_ms_max, command=(sys.executable, "-c", script),
        )  # fmt: skip
        made.append(source)
        return Reloader(
            NAME, source, world.features.open, world.slots, world.telemetry,
            aliases=[Alias.CHAMPION], row_ms_max=50,
        )  # fmt: skip

    yield play
    for source in made:
        source.close()


def checking() -> list[psutil.Process]:
    """The processes that check models for this one, among a test process' other children."""
    lines = [(child, " ".join(child.cmdline())) for child in psutil.Process().children()]
    return [child for child, line in lines if any(mark in line for mark in CHECKING)]


def looked(reloader: Reloader, *, again: bool = False) -> Outcome:
    """What a look at the champion came to."""
    (outcome,) = reloader.check(again=again)
    return outcome


def refused(world: InferenceWorld, reason: str) -> float:
    return world.metric(
        f'outcry_inference_models_refused_total{{alias="champion",reason="{reason}"}}'
    )


def passing(folder: Path, manifest_sha256: str) -> str:
    """What one does that lets this folder pass."""
    told = {
        "type": "passed", "folder": str(folder), "manifest_sha256": manifest_sha256, "row_ms": 0.5,
    }  # fmt: skip
    return f"line.send_bytes({msgspec.json.encode(told)!r})"


# --- the process itself


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A linear model, trees, and trees of which a byte was changed: versions 1 to 3."""
    home = tmp_path_factory.mktemp("home")
    made = Registry(home, name=NAME)
    models: list[Predictor] = [linear_model(), xgboost_model(), xgboost_model(2)]
    for number, predictor in enumerate(models, 1):
        put_model(home / f"model-{number}", predictor)
        assert made.register(home / f"model-{number}") == number
    file = made.folder_of(3) / "model.ubj"
    good = file.read_bytes()
    file.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
    made.promote(1, force=True, why="a test")
    return made


def test_the_process_answers_as_the_registry_does_steps_back_and_ends_with_who_asks(
    registry: Registry,
) -> None:
    home = registry.folder_of(1).parents[3]
    source = CheckedRegistry(home, "", NAME, Telemetry("inference"), check_ms_max=LONG_MS)
    assert source.aliases() == registry.aliases() == {"champion": 1}
    (process,) = checking()
    assert process.nice() == psutil.Process().nice() + 10
    asked = rows(8)
    for version in (1, 2):
        candidate, plain = source.load(version), registry.load(version)
        assert candidate.loaded.manifest == plain.manifest
        assert candidate.row_ms > 0
        found = candidate.loaded.predictor.probabilities(asked)
        assert np.array_equal(found, plain.predictor.probabilities(asked))
    with pytest.raises(ModelRefusedError) as error:
        source.load(3)
    assert error.value.reason == Refusal.WRONG_SHA256
    with pytest.raises(UnknownVersionError):
        source.load(4)
    assert checking() == [process], "it is started once"
    source.close()
    assert not process.is_running()
    with pytest.raises(RegistryAwayError):
        source.aliases()


# --- one that dies, hangs or lies


@pytest.mark.parametrize(
    "check,cause",
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("os._exit(3)", "exit code 3"),
        ("line.send_bytes(b'junk')", "exit code 0"),
        ("line.send_bytes(b'0' * (1 << 21))", "exit code 1"),
    ],
)
def test_a_process_that_dies_of_a_model_has_it_refused_and_the_old_one_serves_on(
    world: InferenceWorld, played: Play, check: str, cause: str
) -> None:
    reloader = played(check)
    outcome = looked(reloader)
    assert (outcome.outcome, outcome.version) == ("refused", 1)
    assert outcome.reason == LoadRefusal.CHECK_DIED
    assert cause in str(outcome.detail)
    assert looked(reloader).reason == LoadRefusal.CHECK_DIED
    assert refused(world, "check_died") == 1, "it is not tried again by itself"
    looked(reloader, again=True)
    assert refused(world, "check_died") == 2
    assert world.slots.get(Alias.CHAMPION) is not None


def test_a_process_that_takes_more_memory_than_it_may_dies_of_it(
    world: InferenceWorld, played: Play
) -> None:
    head = "from services.inference.check_process import limit_memory\n"
    outcome = looked(played("limit_memory(1 << 28); bytearray(1 << 30)", head=head))
    assert (outcome.outcome, outcome.version) == ("refused", 1)
    assert outcome.reason == LoadRefusal.CHECK_DIED
    assert "exit code 1" in str(outcome.detail)
    assert world.metric('outcry_inference_model_refused{alias="champion"}') == 1


def test_a_process_that_hangs_is_ended_and_its_model_is_tried_again_with_a_new_one(
    world: InferenceWorld, played: Play, tmp_path: Path
) -> None:
    folder = world.registry.add(2, linear_model(2))
    flag = tmp_path / "hung"
    passes = passing(folder, read_model(folder).manifest_sha256)
    hangs = f"(open({str(flag)!r}, 'w').close(), os.kill(os.getpid(), signal.SIGSTOP))"
    reloader = played(f"{hangs} if not os.path.exists({str(flag)!r}) else {passes}", 2_000)
    outcome = looked(reloader)
    assert (outcome.outcome, outcome.version) == ("refused", 1)
    assert outcome.reason == LoadRefusal.CHECK_TIMED_OUT
    assert checking() == [], "what hangs is ended"
    wait_until(lambda: looked(reloader).version == 2, "the model to pass", 60)
    assert refused(world, "check_timed_out") >= 1


def test_a_process_that_was_killed_between_questions_is_started_anew(
    world: InferenceWorld, played: Play
) -> None:
    folder = world.registry.add(2, linear_model(2))
    reloader = played(passing(folder, read_model(folder).manifest_sha256))
    assert looked(reloader).outcome == "loaded"
    (process,) = checking()
    process.kill()
    process.wait(60)
    assert looked(reloader).outcome == "unchanged"
    assert refused(world, "check_died") == 0


def test_one_that_can_not_begin_is_a_registry_that_is_away(
    world: InferenceWorld, played: Play
) -> None:
    outcome = looked(played("pass", head="raise SystemExit(1)\n"))
    assert (outcome.outcome, outcome.version) == ("registry_away", 1)
    assert "exit code 1" in str(outcome.detail)
    missing = CheckedRegistry(
        world.registry.folder, "", NAME, world.telemetry, check_ms_max=1, command=("/no/such",)
    )
    with pytest.raises(RegistryAwayError, match="can be started"):
        missing.aliases()


@pytest.mark.parametrize("name", ["model.json", MANIFEST, "golden.json"])
def test_a_file_that_changed_after_it_was_checked_is_not_loaded(
    world: InferenceWorld, played: Play, name: str
) -> None:
    folder = world.registry.add(2, linear_model(2))
    passed = read_model(folder).manifest_sha256
    if name == "model.json":  # with its right hash: the manifest is another one, too
        edit_json(folder, name, lambda form: form["bias"].reverse())
    else:
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    outcome = looked(played(passing(folder, passed)))
    assert (outcome.outcome, outcome.version) == ("refused", 1)
    assert outcome.reason == Refusal.WRONG_SHA256


def test_a_room_that_stops_waits_for_no_check(world: InferenceWorld, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = PLAYED.replace("CHECK", f"open({str(begun)!r}, 'w').close(); time.sleep(600)")
    source = CheckedRegistry(
        tmp_path, "", NAME, world.telemetry,
        check_ms_max=600_000, command=(sys.executable, "-c", script),
    )  # fmt: skip
    told: list[Exception] = []

    def ask() -> None:
        try:
            source.load(2)
        except RegistryAwayError as error:
            told.append(error)

    asking = Thread(target=ask)
    asking.start()
    wait_until(begun.exists, "the check to begin", 60)
    source.close()
    asking.join(60)
    assert "stopping" in str(told)
    assert checking() == []
