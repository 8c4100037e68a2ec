from pathlib import Path

import pytest

from services.tools.stack.doctor import Check, examine, java_major, taken_ports
from services.tools.stack.settings import StackSettings
from tests.support.stack_fixture import COMPONENTS


def _program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _examine(
    monkeypatch: pytest.MonkeyPatch, path: Path, settings: StackSettings
) -> dict[str, Check]:
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return {check.name: check for check in examine(settings)}


def test_a_bare_machine_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = StackSettings(home=tmp_path / "home", components=tmp_path / "components")
    checks = _examine(monkeypatch, tmp_path, settings)
    for name in ("java", "mvn", "cc"):
        assert checks[name].required
        assert not checks[name].ok
        assert "apt install" in checks[name].advice
    assert not checks["redis-server"].required
    assert not checks["redis-server"].ok


def test_maven_is_needed_only_until_everything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not COMPONENTS.is_dir() or len(list(COMPONENTS.glob("[kr]*-*"))) < 2:
        pytest.skip("the components of this checkout are not fetched yet: run `outcry up` once")
    settings = StackSettings(home=tmp_path / "home", components=COMPONENTS)
    assert not _examine(monkeypatch, tmp_path, settings)["mvn"].required


@pytest.mark.parametrize(
    "words,major",
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("no such thing", None),
    ],
)
def test_the_version_of_java_is_read_from_its_words(
    tmp_path: Path, words: str, major: int | None
) -> None:
    java = _program(tmp_path / "bin", "java", f"echo '{words}' >&2")
    assert java_major(str(java)) == major


def test_an_old_java_is_not_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = _program(tmp_path / "bin", "java", "echo 'openjdk version \"11.0.2\"' >&2")
    check = _examine(monkeypatch, java.parent, StackSettings(home=tmp_path))["java"]
    assert (check.required, check.ok, check.found) == (True, False, "11")


def test_an_external_database_makes_the_embedded_one_unneeded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = StackSettings(home=tmp_path, pg_dsn="postgresql://someone@elsewhere/outcry")
    assert _examine(monkeypatch, tmp_path, settings)["postgres"].ok


def test_only_the_ports_that_are_taken_are_named() -> None:
    ports = {"kafka": 19092, "gateway": 19080}
    assert taken_ports(ports, lambda port: port != 19080) == {"gateway": 19080}
