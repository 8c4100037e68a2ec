"""The registry on a real MLflow database: versions, gates, promotions, rollbacks, damage."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from services.models.changes import CHAMPION, SHADOW, Change
from services.models.errors import (
    ModelNotWrittenError,
    ModelRefusedError,
    NothingBeforeError,
    PromotionRefusedError,
    Refusal,
    RegistryAwayError,
    RegistryError,
    RegistryLockedError,
    UnknownVersionError,
)
from services.models.lock import locked
from services.models.manifest import LabelRule
from services.models.registry import Registry
from services.models.tracking import database_of, open_client
from tests.support.mlflow_template import put_database
from tests.support.model_kit import baseline, linear_model, metrics, put_model, xgboost_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

type Plant = Callable[[Path], object]


class Clock:
    """Ticks once a look."""

    def __init__(self) -> None:
        self.now_us = 0

    def __call__(self) -> int:
        self.now_us += 1
        return self.now_us


@pytest.fixture
def home(tmp_path: Path) -> Path:
    put_database(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(home, now_us=Clock(), wait_s=30)


def client(home: Path) -> "MlflowClient":
    return open_client(f"sqlite:///{database_of(home)}")


def add(registry: Registry, home: Path, seed: int, **changes: object) -> int:
    """Register a model of its own."""
    folder = home.parent / f"made-{seed}"
    put_model(folder, linear_model(seed), None, seed=seed, **changes)
    return registry.register(folder)


def better(registry: Registry, home: Path, count: int) -> list[int]:
    """Versions of which each beats the one before."""
    return [
        add(registry, home, seed, metrics=metrics(0.4 + 0.05 * seed, 0.95 - 0.05 * seed))
        for seed in range(1, count + 1)
    ]


def test_nothing_is_registered_in_a_new_home_and_nothing_is_made(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert registry.versions() == []
    assert registry.aliases() == {}
    assert registry.history() == []
    assert registry.alias() is None
    with pytest.raises(UnknownVersionError, match="outcry train"):
        registry.version(1)
    with pytest.raises(NothingBeforeError, match="no champion before"):
        registry.rollback()
    assert [path.name for path in tmp_path.rglob("*")] == ["models", "registry.lock"]


def test_a_registered_model_is_a_copy_with_its_figures_and_hashes(
    registry: Registry, home: Path
) -> None:
    made = put_model(home.parent / "made", xgboost_model(), {"card.md": b"# A card\n"})
    number = registry.register(home.parent / "made")
    shutil.rmtree(home.parent / "made")
    loaded = registry.load(number)
    assert loaded.manifest == made == registry.manifest(number)
    assert registry.folder_of(number) == loaded.folder
    assert (loaded.folder / "card.md").read_bytes() == b"# A card\n"
    version = registry.version(number)
    assert registry.versions() == [version]
    assert version.manifest_sha256 == loaded.manifest_sha256
    assert version.model_sha256 == made.model_sha256
    assert version.dataset_sha256 == made.data.sha256
    assert version.fingerprint == made.fingerprint
    assert (version.version, version.kind, version.aliases) == (1, "xgboost", ())
    assert version.beats_baseline
    run = client(home).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["parameter.max_depth"] == "3"
    assert run.data.metrics["macro_f1"] == made.metrics.macro_f1.value
    assert run.data.metrics["majority.macro_f1.low"] == made.baselines[0].metrics.macro_f1.low
    assert run.data.tags["sha256.model.ubj"] == made.model_sha256


def test_the_same_model_registered_twice_is_one_version(registry: Registry, home: Path) -> None:
    put_model(home.parent / "one", linear_model(1))
    put_model(home.parent / "two", linear_model(2))
    numbers = [registry.register(home.parent / name) for name in ("one", "two", "one", "two")]
    assert numbers == [1, 2, 1, 2]
    assert len(list((home / "models" / "artifacts").iterdir())) == 2


def test_a_model_that_can_not_be_loaded_is_not_registered(registry: Registry, home: Path) -> None:
    put_model(home.parent / "made")
    (home.parent / "made" / "model.pkl").touch()
    with pytest.raises(ModelRefusedError):
        registry.register(home.parent / "made")
    assert registry.versions() == []


def test_a_model_of_another_horizon_is_not_registered(registry: Registry, home: Path) -> None:
    put_model(home.parent / "made", name="direction_60s", label=LabelRule(60))
    with pytest.raises(RegistryError, match="direction_60s"):
        registry.register(home.parent / "made")
    other = Registry(home, name="direction_60s")
    assert other.register(home.parent / "made") == 1
    assert registry.versions() == []


def test_a_disk_that_is_full_leaves_no_version_and_no_folder(
    registry: Registry, home: Path
) -> None:
    add(registry, home, 1)
    artifacts = home / "models" / "artifacts"
    artifacts.rename(home / "models" / "kept")
    artifacts.touch()
    with pytest.raises(ModelNotWrittenError, match="can't be written"):
        add(registry, home, 2)
    artifacts.unlink()
    (home / "models" / "kept").rename(artifacts)
    assert [version.version for version in registry.versions()] == [1]
    assert len(list(artifacts.iterdir())) == 1


def test_champions_follow_each_other_and_are_rolled_back(registry: Registry, home: Path) -> None:
    one, two, three = better(registry, home, 3)
    for number in (one, two, three):
        assert registry.promote(number, why=f"better than {number - 1}") is not None
    assert registry.promote(three) is None
    assert registry.alias() == three
    assert registry.rollback("three was slow").version == two
    assert registry.alias() == two
    assert registry.rollback().version == one
    with pytest.raises(NothingBeforeError, match="no champion before 1"):
        registry.rollback()
    assert registry.alias() == one
    assert [version.aliases for version in registry.versions()] == [(), (), (CHAMPION,)]
    assert registry.history() == [
        Change(1, 1, "promote", CHAMPION, one, None, "better than 0", is_done=True),
        Change(2, 2, "promote", CHAMPION, two, one, "better than 1", is_done=True),
        Change(3, 3, "promote", CHAMPION, three, two, "better than 2", is_done=True),
        Change(4, 4, "rollback", CHAMPION, two, three, "three was slow", is_done=True),
        Change(5, 5, "rollback", CHAMPION, one, two, is_done=True),
    ]


def test_a_model_that_beats_nothing_is_promoted_by_force_alone_with_its_reason(
    registry: Registry, home: Path
) -> None:
    first = add(registry, home, 1)
    registry.promote(first)
    worse = add(registry, home, 2, baselines=(baseline(margin=-0.1),))
    assert not registry.version(worse).beats_baseline
    with pytest.raises(PromotionRefusedError, match="--force --why") as refused:
        registry.promote(worse)
    assert refused.value.gates == ("baseline", "champion")
    with pytest.raises(RegistryError, match="say it"):
        registry.promote(worse, force=True, why=" ")
    with pytest.raises(RegistryError, match="longer than"):
        registry.promote(worse, force=True, why="x" * 1_000)
    assert registry.alias() == first
    change = registry.promote(worse, force=True, why="to see it live")
    assert change is not None
    assert change.forced == ("baseline", "champion")
    assert registry.history()[-1].why == "to see it live"
    assert registry.alias() == worse


def test_a_claim_to_beat_the_baseline_does_not_count(registry: Registry, home: Path) -> None:
    number = add(registry, home, 1, beats_baseline=True, baselines=(baseline(margin=0.0),))
    with pytest.raises(PromotionRefusedError) as refused:
        registry.promote(number)
    assert refused.value.gates == ("baseline",)


def _damage(folder: Path) -> None:
    (folder / "model.json").write_bytes(b"{}")


def _exchange(folder: Path) -> None:
    """A sound model of somebody else's, hashes and all."""
    shutil.rmtree(folder)
    put_model(folder, linear_model(99))


@pytest.mark.parametrize(
    "plant,reason",
    [
        (_damage, Refusal.WRONG_SHA256),
        (_exchange, Refusal.WRONG_SHA256),
        (shutil.rmtree, Refusal.MISSING_FILE),
    ],
)
def test_a_folder_that_changed_since_is_never_promoted(
    registry: Registry, home: Path, plant: Plant, reason: Refusal
) -> None:
    one, two = better(registry, home, 2)
    registry.promote(one)
    plant(registry.folder_of(two))
    for force in (False, True):
        with pytest.raises(PromotionRefusedError, match=reason) as refused:
            registry.promote(two, force=force, why="I insist")
        assert refused.value.gates == ("golden",)
        assert "--force" not in str(refused.value)
    with pytest.raises(ModelRefusedError):
        registry.load(two)
    assert registry.alias() == one
    assert len(registry.history()) == 1


def test_a_model_of_other_features_is_never_promoted(registry: Registry, home: Path) -> None:
    number = add(registry, home, 1, fingerprint="f" * 64)
    for alias in (CHAMPION, SHADOW):
        with pytest.raises(PromotionRefusedError, match="wrong_fingerprint") as refused:
            registry.promote(number, alias, force=True, why="I insist")
        assert refused.value.gates == ("fingerprint",)


def test_a_shadow_needs_to_be_sound_and_no_better(registry: Registry, home: Path) -> None:
    champion = add(registry, home, 1)
    registry.promote(champion)
    worse = add(registry, home, 2, baselines=())
    registry.promote(worse, SHADOW)
    assert registry.aliases() == {CHAMPION: champion, SHADOW: worse}
    assert registry.version(worse).aliases == (SHADOW,)
    with pytest.raises(NothingBeforeError):
        registry.rollback()


def test_a_champion_that_can_not_be_read_is_replaced_by_force_alone(
    registry: Registry, home: Path
) -> None:
    one, two = better(registry, home, 2)
    registry.promote(one)
    _damage(registry.folder_of(one))
    (registry.folder_of(one) / "manifest.json").write_bytes(b"{}")
    with pytest.raises(PromotionRefusedError, match="can't be read") as refused:
        registry.promote(two)
    assert refused.value.gates == ("champion",)
    registry.promote(two, force=True, why="one is damaged")
    with pytest.raises(PromotionRefusedError, match="version 1 is not promoted"):
        registry.rollback()
    assert registry.alias() == two


def test_a_champion_of_other_features_stands_in_nobodys_way(registry: Registry, home: Path) -> None:
    old = add(registry, home, 1, fingerprint="f" * 64, metrics=metrics(0.9, 0.1))
    set_alias(home, CHAMPION, old)
    new = add(registry, home, 2)
    (gate,) = [gate for gate in registry.gates(new) if gate.name == "champion"]
    assert gate.is_open
    assert "does not make" in gate.why
    assert registry.promote(new) is not None


def test_what_is_not_there_is_named(registry: Registry, home: Path) -> None:
    add(registry, home, 1)
    with pytest.raises(UnknownVersionError, match="no version 7"):
        registry.promote(7)
    with pytest.raises(UnknownVersionError, match="models list"):
        registry.load(7)
    with pytest.raises(RegistryError, match="no alias"):
        registry.promote(1, "boss")


def set_alias(home: Path, alias: str, version: int) -> None:
    """As somebody would by MLflow itself."""
    client(home).set_registered_model_alias("direction_10s", alias, str(version))


def test_an_alias_that_somebody_moved_by_mlflow_itself_is_what_is_rolled_back_from(
    registry: Registry, home: Path
) -> None:
    one, two = better(registry, home, 2)
    registry.promote(one)
    set_alias(home, CHAMPION, two)
    assert registry.alias() == two
    assert registry.rollback().before == two
    assert registry.alias() == one


def test_a_change_whose_process_died_before_the_alias_moved_is_finished_by_the_next(
    registry: Registry, home: Path
) -> None:
    one, two = better(registry, home, 2)
    registry.promote(one)
    died = Change(2, 9, "promote", CHAMPION, two, one, "died here")
    set_tag(home, died)
    assert registry.alias() == one
    assert not registry.history()[-1].is_done
    assert Registry(home).rollback().version == one
    assert [change.is_done for change in registry.history()] == [True, True, True]
    assert registry.history()[-1].before == two


def set_tag(home: Path, change: Change) -> None:
    text = msgspec.json.encode(change).decode()
    client(home).set_registered_model_tag("direction_10s", change.tag, text)


def test_promotions_at_once_go_one_after_the_other(registry: Registry, home: Path) -> None:
    numbers = better(registry, home, 3)
    errors: list[Exception] = []

    def promote(number: int) -> None:
        try:
            Registry(home, wait_s=60).promote(number, force=True, why="at once")
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    threads = [threading.Thread(target=promote, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    history = registry.history()
    assert [change.number for change in history] == [1, 2, 3]
    assert sorted(change.version for change in history) == numbers
    assert [change.before for change in history[1:]] == [c.version for c in history[:-1]]
    assert registry.alias() == history[-1].version
    assert all(change.is_done for change in history)


def test_who_waits_too_long_for_another_is_told_who_it_is(registry: Registry, home: Path) -> None:
    number = add(registry, home, 1)
    with (
        locked(home / "models" / "registry.lock"),
        pytest.raises(RegistryLockedError, match="changes the registry"),
    ):
        Registry(home, wait_s=0).promote(number)
    assert registry.alias() is None


def test_a_database_that_is_gone_or_no_database_is_away(registry: Registry, home: Path) -> None:
    number = add(registry, home, 1)
    registry.promote(number)
    database_of(home).rename(home / "away")
    with pytest.raises(RegistryAwayError, match="is gone"):
        registry.alias()
    (home / "away").rename(database_of(home))
    assert registry.alias() == number


def test_a_damaged_database_is_away(registry: Registry, home: Path) -> None:
    number = add(registry, home, 1)
    connection = sqlite3.connect(database_of(home))
    try:
        connection.execute("DROP TABLE registered_model_aliases")
        connection.commit()
    finally:
        connection.close()
    with pytest.raises(RegistryAwayError, match="does not answer"):
        registry.alias()
    with pytest.raises(RegistryAwayError):
        registry.promote(number)


def test_a_home_that_moved_keeps_its_models(registry: Registry, home: Path) -> None:
    number = add(registry, home, 1)
    registry.promote(number)
    moved = home.parent / "moved"
    home.rename(moved)
    assert Registry(moved).load(number).folder.is_relative_to(moved)
    assert Registry(moved).alias() == number


def test_mlflow_says_nothing_where_people_read(
    registry: Registry, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    registry.promote(add(registry, home, 1))
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
