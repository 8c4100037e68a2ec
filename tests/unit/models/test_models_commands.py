"""`outcry models` on a real registry: what people read, what programs read, and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import EXPECTED, app
from services.models.errors import (
    NothingBeforeError,
    PromotionRefusedError,
    RegistryError,
    UnknownVersionError,
)
from services.models.registry import Registry
from tests.support.mlflow_template import put_database
from tests.support.model_kit import baseline, linear_model, metrics, put_model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("OUTCRY_HOME", str(home))
    monkeypatch.delenv("OUTCRY_MLFLOW_URL", raising=False)
    return home


@pytest.fixture
def registry(home: Path) -> Registry:
    """Three versions: a champion, a better one, and one that beats nothing."""
    put_database(home)
    registry = Registry(home)
    made: list[dict[str, object]] = [
        {"metrics": metrics(0.45, 0.9)},
        {"metrics": metrics(0.5, 0.8)},
        {"metrics": metrics(0.3, 1.1), "baselines": (baseline(margin=-0.1),)},
    ]
    for seed, changes in enumerate(made):
        folder = home.parent / f"made-{seed}"
        put_model(folder, linear_model(seed), None, seed=seed, **changes)
        registry.register(folder)
    registry.promote(1)
    return registry


def models(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def document(*arguments: str) -> Any:  # noqa: ANN401 - of JSON
    answer = models(*arguments, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_without_a_model_the_next_step_is_named(home: Path) -> None:
    answer = models("list")
    assert answer.exit_code == 0
    assert "outcry train" in answer.stdout
    assert document("list") == []
    assert document("history") == []
    assert "no alias of direction_10s" in models("history").stdout
    assert not (home / "models" / "mlflow.db").exists()


@pytest.mark.parametrize(
    "arguments,error,cause",
    [
        (("show", "1"), UnknownVersionError, "outcry train"),
        (("show", "champion"), UnknownVersionError, "no alias is set"),
        (("compare", "1", "2"), UnknownVersionError, "outcry train"),
        (("promote", "1"), UnknownVersionError, "outcry train"),
        (("rollback",), NothingBeforeError, "outcry models promote"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_1(
    home: Path, arguments: tuple[str, ...], error: type[Exception], cause: str
) -> None:
    assert not home.exists()
    _check_refused(models(*arguments), error, cause)


def _check_refused(answer: Result, error: type[Exception], cause: str) -> None:
    assert answer.exit_code == 1
    assert isinstance(answer.exception, error)
    assert isinstance(answer.exception, EXPECTED)
    assert cause in str(answer.exception)
    assert "\n" not in str(answer.exception)


def test_versions_are_listed_with_aliases_and_figures(registry: Registry) -> None:
    text = models("list").stdout
    assert "champion" in text
    assert "0.4500 [0.4400, 0.4600]" in text
    rows = document("list")
    assert [row["version"]["version"] for row in rows] == [3, 2, 1]
    assert [row["version"]["beats_baseline"] for row in rows] == [False, True, True]
    assert rows[2]["version"]["aliases"] == ["champion"]
    (registry.folder_of(2) / "manifest.json").write_bytes(b"{}")
    assert "wrong_sha256" in models("list").stdout
    assert "wrong_sha256" in document("list")[1]["fault"]


def test_a_version_is_shown_with_its_origin_and_its_gates(registry: Registry) -> None:
    text = models("show", "3").stdout
    for part in (
        "linear",
        "1,000 rows",
        "log offsets, or places in ingested history, 3 to 907",
        "majority",
        "CLOSED",
    ):
        assert part in text
    found = document("show", "champion")
    assert found["version"]["version"] == 1
    assert found["manifest"]["files"].keys() == {"model.json", "golden.json", "schema.json"}
    assert {gate["name"]: gate["is_open"] for gate in found["gates"]} == {
        "golden": True,
        "fingerprint": True,
        "baseline": True,
        "champion": True,
    }
    assert [change["version"] for change in found["history"]] == [1]
    assert "it is the champion" in models("show", "1").stdout
    assert registry.alias() == 1


def test_two_versions_are_compared_by_the_rule_of_promotion(registry: Registry) -> None:
    text = models("compare", "2", "champion").stdout
    assert "version 2 beats version 1" in text
    assert "version 1 does not beat version 2" in text
    found = document("compare", "2", "champion")
    assert found["is_first_better"]["holds"]
    assert not found["is_second_better"]["holds"]
    assert len(registry.history()) == 1


def test_a_promotion_changes_the_alias_or_exits_with_1(registry: Registry) -> None:
    _check_refused(models("promote", "3"), PromotionRefusedError, "baseline")
    _check_refused(models("promote", "3", "--force"), RegistryError, "--why")
    _check_refused(models("promote", "9"), UnknownVersionError, "no version 9")
    _check_refused(models("promote", "boss"), UnknownVersionError, "champion is 1")
    assert registry.alias() == 1
    answer = models("promote", "2")
    assert (answer.exit_code, answer.stdout) == (0, "champion is version 2, before it version 1\n")
    assert models("promote", "2").stdout == "champion is version 2 already\n"
    assert document("promote", "2") == {"changed": False, "version": 2, "change": None}
    assert document("promote", "3", "--alias", "shadow")["change"]["alias"] == "shadow"
    forced = models("promote", "3", "--force", "--why", "to see it live")
    assert "by force past: baseline, champion" in forced.stdout
    assert models("promote", "3").stdout == "champion is version 3 already\n"
    text = models("history").stdout
    assert "to see it live" in text
    assert [change["version"] for change in document("history")] == [1, 2, 3, 3]


def test_a_rollback_names_who_serves_again(registry: Registry) -> None:
    models("promote", "2")
    found = document("rollback", "--why", "slow")
    assert (found["version"], found["change"]["why"]) == (1, "slow")
    assert registry.alias() == 1
    _check_refused(models("rollback"), NothingBeforeError, "no champion before 1")


def test_a_horizon_has_models_of_its_own(registry: Registry) -> None:
    assert document("list", "--horizon-s", "60") == []
    assert len(registry.versions()) == 3
