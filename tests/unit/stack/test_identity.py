import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from services.tools.stack.identity import (
    identify,
    is_alive,
    read_pid_file,
    send_signal,
    write_pid_file,
)
from tests.support.waiting import wait_until


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_more_than_its_number(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    assert is_alive(identity)
    assert identity != identify(os.getpid())


def test_a_stale_identity_never_gets_a_signal(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    started_earlier = msgspec.structs.replace(identity, start_ticks=identity.start_ticks - 1)
    before_the_boot = msgspec.structs.replace(identity, boot_id="another boot")
    for stale in (started_earlier, before_the_boot):
        assert not is_alive(stale)
        assert not send_signal(stale, signal.SIGKILL)
    assert sleeper.poll() is None
    assert send_signal(identity, signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL


def test_what_remains_of_a_dead_process_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    sleeper.kill()
    # not waited for: the kernel still keeps its entry
    wait_until(lambda: not is_alive(identity), "the process to end")
    sleeper.wait()
    assert identify(sleeper.pid) is None
    assert not send_signal(identity, signal.SIGTERM)


def test_a_name_with_parentheses_does_not_mislead(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        identity = identify(process.pid)
        assert identity is not None
        assert identity.start_ticks > 1
        process.kill()


def test_a_pid_file_gives_back_what_was_kept(tmp_path: Path) -> None:
    identity = identify(os.getpid())
    assert identity is not None
    write_pid_file(tmp_path / "it.pid", identity)
    assert read_pid_file(tmp_path / "it.pid") == identity


@pytest.mark.parametrize("content", ["", "1234\n", '{"pid": 1}', "\x00"])
def test_a_pid_file_of_another_make_means_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "it.pid").write_text(content, encoding="utf-8")
    assert read_pid_file(tmp_path / "it.pid") is None
    assert read_pid_file(tmp_path / "absent.pid") is None
