import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from services.tools.stack.errors import FetchError
from services.tools.stack.fetch import KAFKA, REGISTRY, directory_of, fetch
from tests.support.waiting import wait_until

_FETCH = """
import sys
from pathlib import Path
from services.tools.stack.fetch import KAFKA, fetch
print(fetch(KAFKA, Path(sys.argv[1]), lambda line: print(line, flush=True)), flush=True)
"""


def _install_maven(folder: Path, script: str) -> dict[str, str]:
    """A Maven of our own, first on PATH; it finds the wanted output folder in $out."""
    folder.mkdir(exist_ok=True)
    maven = folder / "mvn"
    find_out = 'for a in "$@"; do case $a in -DoutputDirectory=*) out=${a#*=};; esac; done\n'
    maven.write_text(f"#!/bin/sh\n{find_out}mkdir -p $out\n{script}\n", encoding="utf-8")
    maven.chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def components(tmp_path: Path) -> Path:
    return tmp_path / "components"


def _use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    monkeypatch.setenv("PATH", environment["PATH"])


def test_what_is_fetched_once_needs_no_maven_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: Path
) -> None:
    progress = r"printf 'Downloaded from central: http://x/a.jar (1 kB)\n'; touch $out/a.jar"
    _use(monkeypatch, _install_maven(tmp_path / "bin", progress))
    lines: list[str] = []
    place = fetch(KAFKA, components, lines.append)
    assert [file.name for file in place.iterdir()] == ["a.jar"]
    assert place == directory_of(KAFKA, components)
    assert lines[0].startswith("Apache Kafka 4.2.2, about 55 MB: ")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert fetch(KAFKA, components, lines.append) == place


def test_how_far_a_large_file_is_gets_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: Path
) -> None:
    script = r"printf 'Progress (1): 25/109 MB\rProgress (1): 77/109 MB\r'"
    _use(monkeypatch, _install_maven(tmp_path / "bin", script))
    lines: list[str] = []
    fetch(KAFKA, components, lines.append)
    assert [line.rpartition(", ")[2] for line in lines[1:3]] == ["25/109 MB", "77/109 MB"]


def test_an_archive_is_unpacked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: Path
) -> None:
    archive = tmp_path / "app.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("lib/app.jar")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"jar"))
    _use(monkeypatch, _install_maven(tmp_path / "bin", f"cp {archive} $out"))
    place = fetch(REGISTRY, components, lambda _line: None)
    assert (place / "lib" / "app.jar").read_bytes() == b"jar"


def test_without_maven_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"Maven \(mvn\) is missing.*apt install maven"):
        fetch(KAFKA, components, lambda _line: None)


def test_a_failure_names_the_cause_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: Path
) -> None:
    script = "touch $out/half.jar; echo '[ERROR] Could not transfer artifact'; exit 1"
    _use(monkeypatch, _install_maven(tmp_path / "bin", script))
    with pytest.raises(FetchError, match=r"Could not transfer artifact.*run this again"):
        fetch(KAFKA, components, lambda _line: None)
    assert not directory_of(KAFKA, components).exists()
    assert not list(components.glob(".kafka.part-*"))


def test_a_fetch_that_is_killed_leaves_no_half_component(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: Path
) -> None:
    slow = _install_maven(tmp_path / "bin", "touch $out/half.jar; exec sleep 600")
    argv = [sys.executable, "-c", _FETCH, str(components)]
    with subprocess.Popen(argv, env=slow, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: list(components.glob(".kafka.part-*/files/half.jar")), "half a fetch")
        process.kill()
    assert not directory_of(KAFKA, components).exists()
    _use(monkeypatch, _install_maven(tmp_path / "bin", "touch $out/whole.jar"))
    place = fetch(KAFKA, components, lambda _line: None)
    assert [file.name for file in place.iterdir()] == ["whole.jar"]
    assert not list(components.glob(".kafka.part-*"))


def test_two_stacks_that_need_the_same_component_fetch_it_once(
    tmp_path: Path, components: Path
) -> None:
    runs = tmp_path / "runs"
    once = _install_maven(tmp_path / "bin", f"echo run >> {runs}; sleep 0.5; touch $out/a.jar")
    argv = [sys.executable, "-c", _FETCH, str(components)]
    both = [subprocess.Popen(argv, env=once, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    places = {process.communicate()[0].splitlines()[-1] for process in both}
    assert places == {str(directory_of(KAFKA, components))}
    assert runs.read_text(encoding="utf-8") == "run\n"
