import re

from tests.tidy import lock

PROJECT = """
[project]
requires-python = "==3.13.*"
dependencies = ["Msg_Spec>=1"]
optional-dependencies = { risk = ["psycopg[binary]>=3"] }
"""


def test_the_lock_was_resolved_from_the_dependencies_in_pyproject() -> None:
    recorded = lock.recorded_hash(lock.LOCK.read_text(encoding="utf-8"))
    assert recorded == lock.dependency_hash(lock.pyproject()), "run `make lock`"


def test_every_direct_dependency_is_in_the_lock() -> None:
    locked = lock.locked_names(lock.LOCK.read_text(encoding="utf-8"))
    assert lock.direct_names(lock.pyproject()) <= locked, "run `make lock`"


def test_every_pin_in_the_lock_has_a_hash_and_none_an_address() -> None:
    text = lock.LOCK.read_text(encoding="utf-8")
    pins = re.split(r"\n(?=[a-z0-9][a-z0-9.-]*==)", text)[1:]
    assert len(pins) == len(lock.locked_names(text))
    assert all("--hash=sha256:" in pin for pin in pins)
    assert "://" not in text


def test_a_changed_dependency_or_python_changes_the_recorded_hash() -> None:
    before = lock.dependency_hash(PROJECT)
    assert lock.dependency_hash(PROJECT.replace(">=3", ">=4")) != before
    assert lock.dependency_hash(PROJECT.replace("3.13", "3.14")) != before
    assert lock.dependency_hash(PROJECT + "\n[tool.ruff]\n") == before


def test_names_are_read_without_extras_and_versions() -> None:
    assert lock.direct_names(PROJECT) == {"msg-spec", "psycopg"}


def test_a_record_replaces_the_one_before() -> None:
    once = lock.with_record("a==1 \\\n", "abc")
    twice = lock.with_record(once, "def")
    assert (lock.recorded_hash(once), lock.recorded_hash(twice)) == ("abc", "def")
    assert lock.recorded_hash("a==1 \\\n") is None
    assert twice.endswith("\na==1 \\\n")
    assert twice.count("resolved from") == 1
