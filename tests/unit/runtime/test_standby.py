"""The locks that decide which of two processes works."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.runtime.errors import ConfigurationError
from services.runtime.standby import Pair
from tests.support.waiting import wait_until

HOLD = """
import sys, time
from pathlib import Path
from services.runtime.standby import Pair
pair = Pair(Path(sys.argv[1]))
print(pair.try_lead(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "matcher.lead"


def test_one_of_two_leads(path: Path) -> None:
    first, second = Pair(path), Pair(path)
    assert [first.try_lead(), second.try_lead(), first.try_lead()] == [True, False, True]
    first.close()
    assert second.try_lead()
    second.close()


def test_the_leader_knows_whether_it_is_followed(path: Path) -> None:
    leader, follower = Pair(path), Pair(path)
    assert leader.try_lead()
    assert not leader.is_followed()
    assert follower.follow()
    assert leader.is_followed()
    assert follower.follow(), "said again, as in each turn"
    follower.close()
    assert not leader.is_followed()
    leader.close()


def test_who_becomes_the_leader_no_longer_follows(path: Path) -> None:
    leader, follower = Pair(path), Pair(path)
    assert leader.try_lead()
    assert follower.follow()
    leader.close()
    assert follower.try_lead()
    assert not follower.is_followed()
    follower.close()


def test_a_leader_that_is_killed_is_succeeded_at_once_and_a_frozen_one_never(path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"True\n"
        heir = Pair(path)
        os.kill(holder.pid, signal.SIGSTOP)
        time.sleep(0.2)
        assert not heir.try_lead(), "a frozen leader may wake up: nobody works in its place"
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(heir.try_lead, "the lock of the dead")
        heir.close()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_place_where_no_file_can_be_made_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"OUTCRY_STANDBY_LOCK: .* name another"):
        Pair(tmp_path / "file" / "matcher.lead")
