"""A folder is written whole, and read back only as it was written. Each refusal has its fault."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.models.artifact import (
    CARD,
    GOLDEN_MAX,
    LIMITS,
    REFERENCE,
    Limits,
    check_repo,
    copy_model,
    read_manifest_of,
    read_model,
    write_model,
)
from services.models.classes import CLASS_NAMES
from services.models.errors import ModelNotWrittenError, ModelRefusedError, Refusal
from services.models.manifest import FORMAT
from tests.support.forge import booster_bytes, edit_json, edit_manifest, put_file
from tests.support.model_kit import (
    COLUMNS,
    V1,
    WIDTH,
    constant_model,
    linear_model,
    manifest,
    put_model,
    rows,
    rule_model,
    xgboost_model,
)

type Plant = Callable[[Path], object]


def refusal(folder: Path, limits: Limits = LIMITS) -> Refusal:
    with pytest.raises(ModelRefusedError) as refused:
        read_model(folder, limits)
    assert str(refused.value.reason) in str(refused.value)
    assert str(refused.value).count("\n") == 0
    return refused.value.reason


@pytest.mark.parametrize("make", [xgboost_model, linear_model, constant_model, rule_model])
def test_a_model_is_read_as_it_was_written(tmp_path: Path, make: Callable[[], Any]) -> None:
    attachments = {CARD: b"# A card\n", REFERENCE: b"PAR1", "calibration.png": b"\x89PNG"}
    written = put_model(tmp_path / "m", make(), attachments)
    loaded = read_model(tmp_path / "m")
    assert loaded.manifest == written
    assert set(written.files) == {*attachments, written.model_file, "golden.json", "schema.json"}
    assert len(written.model_sha256) == 64
    given = make().probabilities(rows(16))
    assert loaded.predictor.probabilities(rows(16)).tobytes() == given.tobytes()
    check_repo(loaded.manifest)
    assert read_manifest_of(tmp_path / "m") == written
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_the_same_training_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        put_model(tmp_path / name, xgboost_model())
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    put_model(tmp_path / "m")
    before = (tmp_path / "m" / "manifest.json").read_bytes()
    with pytest.raises(ModelNotWrittenError, match="already"):
        put_model(tmp_path / "m", linear_model(seed=2))
    assert (tmp_path / "m" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_disk_that_does_not_take_it_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelNotWrittenError, match="nothing changed"):
        put_model(tmp_path / "file" / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_model_that_nobody_could_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError) as refused:
        write_model(tmp_path / "m", linear_model(), manifest(columns=COLUMNS[1:]), rows(16))
    assert refused.value.reason is Refusal.WRONG_COLUMNS
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [15, GOLDEN_MAX + 1])
def test_too_few_or_too_many_golden_vectors_are_a_broken_invariant(
    tmp_path: Path, count: int
) -> None:
    with pytest.raises(AssertionError, match="golden vectors"):
        write_model(tmp_path / "m", linear_model(), manifest(), rows(count))


@pytest.mark.parametrize("name", ["../evil", "model.pkl", "card.exe", "sub/plot.png"])
def test_a_foreign_attachment_is_a_broken_invariant(tmp_path: Path, name: str) -> None:
    with pytest.raises(AssertionError, match="a model's folder has no"):
        put_model(tmp_path / "m", attachments={name: b""})


def _cut(name: str) -> Plant:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-9])


def _link(folder: Path) -> None:
    shutil.move(folder / "golden.json", folder.parent / "elsewhere.json")
    (folder / "golden.json").symlink_to(folder.parent / "elsewhere.json")


def _pipe(folder: Path) -> None:
    (folder / "golden.json").unlink()
    os.mkfifo(folder / "golden.json")


def _folder(folder: Path) -> None:
    (folder / "golden.json").unlink()
    (folder / "golden.json").mkdir()


def _many(folder: Path) -> None:
    for place in range(70):
        put_file(folder, f"p{place}.png", b"")


def _set(**changes: object) -> Plant:
    return lambda folder: edit_manifest(folder, lambda found: found.update(changes))


def _model(forgery: Callable[[dict[str, Any]], object]) -> Plant:
    return lambda folder: edit_json(folder, "model.json", forgery)


def _golden(forgery: Callable[[dict[str, Any]], object]) -> Plant:
    return lambda folder: edit_json(folder, "golden.json", forgery)


def _schema(forgery: Callable[[dict[str, Any]], object]) -> Plant:
    return lambda folder: edit_json(folder, "schema.json", forgery)


def _put(name: str, data: bytes) -> Plant:
    return lambda folder: put_file(folder, name, data)


FAULTS: list[tuple[Plant, Refusal]] = [
    (lambda folder: (folder / "manifest.json").unlink(), Refusal.MISSING_FILE),
    (lambda folder: (folder / "golden.json").unlink(), Refusal.MISSING_FILE),
    (lambda folder: (folder / "model.json").unlink(), Refusal.MISSING_FILE),
    (lambda folder: (folder / "card.md").unlink(), Refusal.MISSING_FILE),
    (shutil.rmtree, Refusal.MISSING_FILE),
    (lambda folder: (folder / "model.pkl").write_bytes(b""), Refusal.FOREIGN_FILE),
    (lambda folder: (folder / "MLmodel").write_bytes(b""), Refusal.FOREIGN_FILE),
    (lambda folder: (folder / "plot.png").write_bytes(b""), Refusal.FOREIGN_FILE),
    (lambda folder: (folder / "reference.parquet").write_bytes(b""), Refusal.FOREIGN_FILE),
    (lambda folder: put_file(folder, "model.ubj", b"{L"), Refusal.FOREIGN_FILE),
    (_many, Refusal.FOREIGN_FILE),
    # What the manifest names is looked for in the folder alone.
    (
        lambda folder: edit_manifest(
            folder, lambda found: found["files"].update({"../elsewhere.json": "a" * 64})
        ),
        Refusal.MISSING_FILE,
    ),
    (
        lambda folder: edit_manifest(
            folder, lambda found: found["files"].update({"/etc/passwd": "a" * 64})
        ),
        Refusal.MISSING_FILE,
    ),
    (
        lambda folder: edit_manifest(folder, lambda found: found["files"].pop("model.json")),
        Refusal.MISSING_FILE,
    ),
    (_link, Refusal.NOT_A_FILE),
    (_pipe, Refusal.NOT_A_FILE),
    (_folder, Refusal.NOT_A_FILE),
    (_put("golden.json", b" " * (LIMITS.json_bytes_max + 1)), Refusal.TOO_LARGE),
    (_cut("model.json"), Refusal.WRONG_SHA256),
    (_cut("golden.json"), Refusal.WRONG_SHA256),
    (_cut("card.md"), Refusal.WRONG_SHA256),
    (_cut("manifest.json"), Refusal.MALFORMED),
    (_put("golden.json", b"\x80\x04K\x01."), Refusal.MALFORMED),
    (lambda folder: (folder / "manifest.json").write_bytes(b"\xff{}"), Refusal.MALFORMED),
    (lambda folder: (folder / "manifest.json").write_bytes(b"[" * 100_000), Refusal.TOO_DEEP),
    (lambda folder: (folder / "manifest.json").write_bytes(b'{"format":1}'), Refusal.MALFORMED),
    (_put("golden.json", b'{"a":' * 100_000), Refusal.TOO_DEEP),
    (_set(format=FORMAT + 1), Refusal.NEWER_FORMAT),
    (_set(format=FORMAT + 1, something={"new": [1]}), Refusal.NEWER_FORMAT),
    (_set(format="1"), Refusal.MALFORMED),
    (_set(something=1), Refusal.MALFORMED),
    (_set(kind="pickle"), Refusal.MALFORMED),
    (_set(kind="rule"), Refusal.MALFORMED),
    (_set(metrics={}), Refusal.MALFORMED),
    (_set(classes=["up", "flat", "down"]), Refusal.WRONG_CLASSES),
    (_set(classes=["down", "up"]), Refusal.WRONG_CLASSES),
    (_schema(lambda found: found.update(more=1)), Refusal.MALFORMED),
    (_schema(lambda found: found["inputs"].reverse()), Refusal.WRONG_SCHEMA),
    (_schema(lambda found: found["inputs"].pop()), Refusal.WRONG_SCHEMA),
    (_schema(lambda found: found["inputs"][0].update(name="more")), Refusal.WRONG_SCHEMA),
    (_schema(lambda found: found["inputs"][0].update(type="float32")), Refusal.WRONG_SCHEMA),
    (_schema(lambda found: found["inputs"][0].update(nullable=True)), Refusal.WRONG_SCHEMA),
    (_schema(lambda found: found["inputs"][0].update(unit="miles")), Refusal.WRONG_SCHEMA),
    (_schema(lambda found: found["outputs"].reverse()), Refusal.WRONG_SCHEMA),
    (_schema(lambda found: found["outputs"][0].update(unit="percent")), Refusal.WRONG_SCHEMA),
    (lambda folder: (folder / "schema.json").unlink(), Refusal.MISSING_FILE),
    (_cut("schema.json"), Refusal.WRONG_SHA256),
    (_set(columns=[]), Refusal.WRONG_COLUMNS),
    (_set(columns=[*COLUMNS[:-1], COLUMNS[0]]), Refusal.WRONG_COLUMNS),
    (_set(columns=list(COLUMNS[:-1])), Refusal.WRONG_COLUMNS),
    (_set(columns=[*COLUMNS, "more"]), Refusal.WRONG_COLUMNS),
    (_set(columns=[f"c{place}" for place in range(2_000)]), Refusal.TOO_LARGE),
    (_model(lambda form: form["mean"].pop()), Refusal.WRONG_COLUMNS),
    (_model(lambda form: form["weights"].pop()), Refusal.WRONG_CLASSES),
    (_model(lambda form: form["bias"].append(0.0)), Refusal.WRONG_CLASSES),
    (_model(lambda form: form["scale"].__setitem__(0, 0.0)), Refusal.WRONG_PROBABILITIES),
    (_model(lambda form: form["bias"].__setitem__(0, 1e300)), Refusal.WRONG_PROBABILITIES),
    (_model(lambda form: form["bias"].__setitem__(0, float("nan"))), Refusal.MALFORMED),
    (_model(lambda form: form["bias"].__setitem__(0, None)), Refusal.MALFORMED),
    (_model(lambda form: form["bias"].__setitem__(0, 0.1000001)), Refusal.GOLDEN_DIFFERS),
    (_golden(lambda g: g["probabilities"][3].reverse()), Refusal.GOLDEN_DIFFERS),
    (_golden(lambda g: g["vectors"].reverse()), Refusal.GOLDEN_DIFFERS),
    (_golden(lambda g: g["vectors"].pop()), Refusal.MALFORMED),
    (_golden(lambda g: (g["vectors"].clear(), g["probabilities"].clear())), Refusal.MALFORMED),
    (_golden(lambda g: g["vectors"][0].pop()), Refusal.WRONG_COLUMNS),
    (_golden(lambda g: g["vectors"][0].__setitem__(0, 1e300)), Refusal.MALFORMED),
]


@pytest.mark.parametrize("plant,reason", FAULTS)
def test_each_planted_fault_is_refused_with_its_reason(
    tmp_path: Path, plant: Plant, reason: Refusal
) -> None:
    put_model(tmp_path / "m", attachments={CARD: b"# A model card\n"})
    plant(tmp_path / "m")
    assert refusal(tmp_path / "m") is reason


@pytest.mark.parametrize(
    "data,reason",
    [
        (pickle.dumps({"a": 1}), Refusal.NOT_NATIVE),
        (b"binf\x00\x00\x00\x00", Refusal.NOT_NATIVE),
        (b'{"learner": {}}', Refusal.NOT_NATIVE),
        (b"", Refusal.NOT_NATIVE),
        (booster_bytes()[:-40], Refusal.DAMAGED),
        (booster_bytes() + b"}", Refusal.DAMAGED),
    ],
)
def test_what_is_no_whole_native_file_is_refused_before_xgboost_sees_it(
    tmp_path: Path, data: bytes, reason: Refusal
) -> None:
    put_model(tmp_path / "m", xgboost_model())
    put_file(tmp_path / "m", "model.ubj", data)
    assert refusal(tmp_path / "m") is reason


@pytest.mark.parametrize(
    "change,reason",
    [
        (lambda form: form.update(answer=[0.5, 0.5]), Refusal.WRONG_CLASSES),
        (lambda form: form.update(answer=[0.5, 0.6, -0.1]), Refusal.WRONG_PROBABILITIES),
        (lambda form: form.update(answer=[0.5, 0.5, 0.5]), Refusal.WRONG_PROBABILITIES),
        (lambda form: form.update(width=WIDTH + 1), Refusal.WRONG_COLUMNS),
    ],
)
def test_a_constant_that_is_no_answer_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: Refusal
) -> None:
    put_model(tmp_path / "m", constant_model())
    edit_json(tmp_path / "m", "model.json", change)
    assert refusal(tmp_path / "m") is reason


@pytest.mark.parametrize("column", [-1, WIDTH])
def test_a_rule_about_an_input_that_there_is_not_is_refused(tmp_path: Path, column: int) -> None:
    put_model(tmp_path / "m", rule_model())
    edit_json(tmp_path / "m", "model.json", lambda form: form.update(column=column))
    assert refusal(tmp_path / "m") is Refusal.WRONG_COLUMNS


def test_a_linked_folder_is_refused_and_so_is_a_file(tmp_path: Path) -> None:
    put_model(tmp_path / "m")
    (tmp_path / "link").symlink_to(tmp_path / "m")
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "link") is Refusal.MISSING_FILE
    assert refusal(tmp_path / "file") is Refusal.MISSING_FILE


def test_a_folder_that_the_disk_does_not_give_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("x" * 300)) is Refusal.UNREADABLE


def test_limits_are_the_readers(tmp_path: Path) -> None:
    put_model(tmp_path / "m", attachments={CARD: b"# A model card\n"})
    assert refusal(tmp_path / "m", Limits(model_bytes_max=100)) is Refusal.TOO_LARGE
    assert refusal(tmp_path / "m", Limits(json_bytes_max=100)) is Refusal.TOO_LARGE
    assert refusal(tmp_path / "m", Limits(attachment_bytes_max=10)) is Refusal.TOO_LARGE
    assert refusal(tmp_path / "m", Limits(columns_max=3)) is Refusal.TOO_LARGE
    assert refusal(tmp_path / "m", Limits(files_max=3)) is Refusal.FOREIGN_FILE


def test_a_whole_model_in_place_of_another_is_refused_by_the_hash_kept_apart(
    tmp_path: Path,
) -> None:
    put_model(tmp_path / "m")
    put_model(tmp_path / "other", linear_model(seed=2))
    known = read_model(tmp_path / "m").manifest_sha256
    assert read_model(tmp_path / "m", manifest_sha256=known).manifest_sha256 == known
    for read in (read_model, read_manifest_of):
        with pytest.raises(ModelRefusedError) as refused:
            read(tmp_path / "other", manifest_sha256=known)
        assert refused.value.reason is Refusal.WRONG_SHA256


@pytest.mark.parametrize(
    "changes,reason,detail",
    [
        ({"feature_set": "macro_v9"}, Refusal.UNKNOWN_FEATURE_SET, "macro_v9"),
        ({"fingerprint": "f" * 64}, Refusal.WRONG_FINGERPRINT, "ffffffffffff"),
        ({"columns": COLUMNS[1:]}, Refusal.WRONG_COLUMNS, f"missing: {COLUMNS[0]}"),
        ({"columns": (*COLUMNS, "mid")}, Refusal.WRONG_COLUMNS, "extra: mid"),
        ({"columns": ("renamed", *COLUMNS[1:])}, Refusal.WRONG_COLUMNS, "extra: renamed"),
        ({"columns": COLUMNS[::-1]}, Refusal.WRONG_COLUMNS, "another order"),
    ],
)
def test_a_model_of_other_features_than_the_codes_is_refused(
    changes: dict[str, Any], reason: Refusal, detail: str
) -> None:
    with pytest.raises(ModelRefusedError, match=detail) as refused:
        check_repo(manifest(**changes))
    assert refused.value.reason is reason


def test_a_copy_has_the_same_bytes_and_a_foreign_folder_is_not_copied(tmp_path: Path) -> None:
    put_model(tmp_path / "m", attachments={CARD: b"# A model card\n"})
    copy_model(tmp_path / "m", tmp_path / "deep" / "copy")
    copied = {path.name: path.read_bytes() for path in (tmp_path / "deep" / "copy").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    (tmp_path / "m" / "model.pkl").touch()
    with pytest.raises(ModelRefusedError):
        copy_model(tmp_path / "m", tmp_path / "deep" / "again")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["copy"]


def test_figures_keep_every_bit_on_their_way_through_the_files(tmp_path: Path) -> None:
    put_model(tmp_path / "m")
    golden = json.loads((tmp_path / "m" / "golden.json").read_bytes())
    assert np.array(golden["vectors"]).tobytes() == rows(16).tobytes()


def test_a_model_states_its_inputs_and_outputs_as_the_feature_set_defines_them(
    tmp_path: Path,
) -> None:
    put_model(tmp_path / "m")
    found = json.loads((tmp_path / "m" / "schema.json").read_bytes())
    units = {feature.name: feature.unit for feature in V1.features}
    assert found["inputs"] == [
        {"name": name, "type": "float64", "unit": units[name], "nullable": False}
        for name in COLUMNS
    ]
    assert found["outputs"] == [
        {"name": name, "type": "float64", "unit": "probability", "nullable": False}
        for name in CLASS_NAMES
    ]


def test_a_folder_from_before_there_were_schemas_is_read(tmp_path: Path) -> None:
    put_model(tmp_path / "m")
    (tmp_path / "m" / "schema.json").unlink()
    edit_manifest(tmp_path / "m", lambda found: found["files"].pop("schema.json"))
    assert read_model(tmp_path / "m").manifest.columns == COLUMNS


def test_every_reason_has_a_planted_fault() -> None:
    seen = {reason for _, reason in FAULTS}
    elsewhere = {
        Refusal.NOT_NATIVE,
        Refusal.DAMAGED,
        Refusal.UNREADABLE,
        Refusal.UNKNOWN_FEATURE_SET,
        Refusal.WRONG_FINGERPRINT,
    }
    assert seen | elsewhere == set(Refusal)
