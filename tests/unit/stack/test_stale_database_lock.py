import subprocess
from pathlib import Path

import pytest

from services.tools.stack import programs


def test_the_lock_of_a_server_that_is_gone_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / "postmaster.pid"
    lock.write_text("1\n", encoding="utf-8")  # a pid that is alive, and a stranger's
    programs._clear_stale_lock(tmp_path)
    assert not lock.exists()


def test_the_lock_stays_while_any_process_of_the_server_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_LEFTOVER_WAIT_S", 0.0)
    lock = tmp_path / "postmaster.pid"
    lock.write_text("1\n", encoding="utf-8")
    with subprocess.Popen(["sleep", "600"], cwd=tmp_path) as backend:
        programs._clear_stale_lock(tmp_path)
        assert lock.exists()
        backend.kill()
