"""Told at once whether anything was written to an SQLite database; to its very end."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from services.online import change_watch
from services.online.change_watch import ChangeWatch


def test_a_commit_of_another_changes_the_token_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE rows (value)")
        watch = ChangeWatch(path)
        first = watch.token(may_wait=True)
        assert first is not None
        assert watch.token(may_wait=False) == first
        database.execute("INSERT INTO rows VALUES (1)")
        database.commit()
        assert watch.token(may_wait=False) != first


def test_one_that_lives_until_the_interpreter_ends_ends_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "online.db"
    with closing(sqlite3.connect(path)):
        watch = ChangeWatch(path)
        assert watch.token(may_wait=True) is not None
    for name in ("sqlite3", "contextlib"):  # as the interpreter leaves a module behind
        monkeypatch.setattr(change_watch, name, None)
    watch.__del__()
