from pathlib import Path

import pytest

from tests.support import optional


def test_a_missing_part_skips_at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(optional.REQUIRE_SWITCH, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        optional.require_program("no-such-program")
    with pytest.raises(pytest.skip.Exception, match=r"NONE\.csv"):
        optional.require_lobster("NONE.csv")


def test_a_missing_part_fails_where_everything_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(optional.REQUIRE_SWITCH, "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        optional.require_program("no-such-program")


def test_lobsters_samples_may_lie_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "A.csv").touch()
    monkeypatch.setenv(optional.LOBSTER_SWITCH, str(tmp_path))
    monkeypatch.delenv(optional.REQUIRE_SWITCH, raising=False)
    assert optional.require_lobster("A.csv") == tmp_path / "A.csv"
    with pytest.raises(pytest.skip.Exception, match=f"no B.csv in {tmp_path}"):
        optional.require_lobster("B.csv")


def test_a_program_on_the_path_is_found() -> None:
    assert optional.require_program("git").name == "git"


def test_another_python_is_looked_for_and_never_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(optional.REQUIRE_SWITCH, "1")
    with pytest.raises(pytest.skip.Exception, match=r"no Python 9\.9 on PATH"):
        optional.python_with_packages("9.9", (), tmp_path)
