import threading
from pathlib import Path

import pytest

from services.gateway.key_secret import ensure_server_secret, read_server_secret
from services.runtime.errors import ConfigurationError


def test_the_first_makes_the_secret_and_all_others_read_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "keys.secret"
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure_server_secret(path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {read_server_secret(path)}
    assert [file.name for file in path.parent.iterdir()] == ["keys.secret"]


def test_nobody_else_may_read_it_and_it_is_random(tmp_path: Path) -> None:
    secrets = {ensure_server_secret(tmp_path / name) for name in ("a", "b")}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert {len(secret) for secret in secrets} == {32}
    assert len(secrets) == 2


@pytest.mark.parametrize("text", ["", "ab", "x" * 64, "A" * 64, "a" * 63, "a" * 65, "é" * 64])
def test_a_file_that_holds_no_secret_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.secret"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits") as refused:
        ensure_server_secret(path)
    assert not text or text not in str(refused.value)


def test_without_a_file_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`outcry up` makes one"):
        read_server_secret(tmp_path / "none")


def test_a_place_where_nothing_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="can't be made"):
        ensure_server_secret(tmp_path / "file" / "keys.secret")
