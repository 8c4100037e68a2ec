"""PostgreSQL that can't write: its files may not grow, as on a full disk.

A file-size limit on the server's processes does it without root and without a disk: no write
beyond it succeeds. Just above a segment of its write-ahead log, so that the tables fail and the
server itself lives on, as with tables on a disk of their own.
"""

import os
import resource
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import psutil
import psycopg

from services.tools.proof.chaos.errors import ChaosError
from services.tools.proof.chaos.run import Run
from services.tools.proof.chaos.scenarios import OUTAGE_PAUSE_MAX_S
from services.tools.proof.chaos.site import wait_for
from services.tools.proof.chaos.timeline import lines_since, mark

SEGMENT_BYTES: Final = 16 * 1024 * 1024
_GROW_TIMEOUT_S: Final = 300.0
_FAIL_TIMEOUT_S: Final = 120.0
FULL_S: Final = 10.0
_FAILURES: Final = ("recording_failed", "failed")

_LARGEST: Final = """
SELECT coalesce(max(pg_relation_size(c.oid)), 0)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'outcry' AND c.relkind = 'r'
"""


def fill_disk(run: Run, seconds: float = FULL_S) -> None:
    """Until the recorder's rows can't be added, and for `seconds` more; then there is room again.

    Raises:
        ChaosError: the recorder did not notice.
    """
    _grow(run)
    run.pause_randomly(0.2, 1.0)
    recorder = mark(run.site.log_of("recorder"))
    began_s = time.time()
    _limit(run, SEGMENT_BYTES)
    wait_for(
        lambda: any(f'"event":"{w}"' in line for line in lines_since(recorder) for w in _FAILURES),
        "the recorder to fail on the full disk",
        _FAIL_TIMEOUT_S,
    )
    said = next(line for line in lines_since(recorder) if any(w in line for w in _FAILURES))
    run.say(f"the recorder can't write after {time.time() - began_s:.1f} s: {said[:240]}")
    time.sleep(seconds)
    pause_s = run.probe.longest_pause(began_s, time.time())
    run.say(f"longest pause between trades meanwhile {pause_s:.2f} s")
    run.measure("disk full: longest pause between trades", pause_s, OUTAGE_PAUSE_MAX_S)
    _limit(run, resource.RLIM_INFINITY)
    freed_s = time.time()
    run.site.wait_until_back()
    run.measure("disk full: room again, all up", time.time() - freed_s)


def _grow(run: Run) -> None:
    """Wait until a table is at the limit: the load does that, with full books in a minute."""

    def is_large() -> bool:
        with psycopg.connect(run.site.addresses.pg_dsn) as database:
            row = database.execute(_LARGEST).fetchone()
        return row is not None and int(row[0]) >= SEGMENT_BYTES

    wait_for(is_large, "a table of 16 MiB", _GROW_TIMEOUT_S)


def _limit(run: Run, size_bytes: int) -> None:
    """Set the limit of the server and of its sessions; new sessions inherit it.

    Its other helpers write on: the end of a checkpoint is not what is to fail here.
    """
    server, *helpers = run.site.family("postgres")
    limit_files([server, *filter(_serves_a_client, helpers)], size_bytes)


def limit_files(processes: Sequence[psutil.Process], size_bytes: int) -> None:
    """No file that one of these processes writes may grow beyond this. They have one owner.

    Raises:
        ChaosError: this account may not do that to theirs.
    """
    pids = [process.pid for process in processes]
    uid, gid = processes[0].uids().real, processes[0].gids().real

    def set_limits() -> None:
        # As the server's own account: it may, and root may not where it lacks CAP_SYS_RESOURCE.
        if os.geteuid() != uid:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        for pid in pids:
            with suppress(ProcessLookupError):  # a session that just ended
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

    try:
        subprocess.run(["true"], preexec_fn=set_limits, check=True)
    except subprocess.SubprocessError as error:
        raise ChaosError(f"PostgreSQL's processes can't be limited: {error}") from error


def _serves_a_client(process: psutil.Process) -> bool:
    """PostgreSQL titles a session's process with user, database and the client's address."""
    try:
        title = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return "127.0.0.1(" in title
