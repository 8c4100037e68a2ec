import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.tools.stack.identity import identify, is_alive
from services.tools.stack.spawn import account_to_use, spawn
from tests.support.waiting import wait_until

_PARENT = """
import os, sys, time
from pathlib import Path
from services.tools.stack.spawn import spawn
child = spawn(["sleep", "600"], env=os.environ, cwd=Path("/"), log=Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _PARENT, str(tmp_path / "log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = identify(int(parent.stdout.readline()))
        assert child is not None
        assert is_alive(child)
        parent.kill()
    wait_until(lambda: not is_alive(child), "the child to die")


def test_a_child_writes_to_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n", encoding="utf-8")
    with spawn(
        ["sh", "-c", "echo out; echo err >&2"], env=os.environ, cwd=tmp_path, log=log
    ) as child:
        assert child.wait() == 0
    assert log.read_text(encoding="utf-8").splitlines() == ["before", "out", "err"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_a_child_without_root_still_passes_closed_folders(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "data").write_text("read me\n", encoding="utf-8")
    log = tmp_path / "log"
    with spawn(
        ["sh", "-c", f"id -u; cat {closed}/data; chown 0 {closed}/data || echo refused"],
        env=os.environ,
        cwd=tmp_path,
        log=log,
        account=account_to_use("nobody"),
    ) as child:
        child.wait()
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines[0] != "0"
    assert "read me" in lines
    assert "refused" not in lines[0:2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_a_child_without_root_dies_with_its_parent_too(tmp_path: Path) -> None:
    parent = _PARENT.replace("log=Path", "account=account_to_use('nobody'), log=Path").replace(
        "import spawn", "import account_to_use, spawn"
    )
    argv = [sys.executable, "-c", parent, str(tmp_path / "log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = identify(int(process.stdout.readline()))
        assert child is not None
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(child), "the child to die")
