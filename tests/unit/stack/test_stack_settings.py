from pathlib import Path

import pytest
from pydantic import ValidationError

from services.tools.stack.settings import PORT_OFFSETS, PORT_SPAN, StackSettings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "PORT_BASE", "COMPONENTS", "PG_DSN", "TOPIC_PREFIX"):
        monkeypatch.delenv(f"OUTCRY_{name}", raising=False)


def test_two_stacks_a_span_apart_share_no_port() -> None:
    first = StackSettings(port_base=20000)
    second = StackSettings(port_base=20000 + PORT_SPAN)
    ports = [stack.port(name) for stack in (first, second) for name in PORT_OFFSETS]
    assert len(set(ports)) == 2 * len(PORT_OFFSETS)


def test_the_environment_moves_the_whole_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("OUTCRY_PORT_BASE", "30000")
    settings = StackSettings()
    assert settings.home == tmp_path / "other"
    assert settings.port("kafka") == 30092
    assert settings.port("gateway") == 30080


def test_relative_paths_mean_the_folder_in_which_the_command_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = StackSettings()
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / ".outcry"
    assert settings.components == tmp_path / ".components"


@pytest.mark.parametrize("port_base", [80, 65500])
def test_a_base_whose_ports_cannot_all_be_used_is_refused(port_base: int) -> None:
    with pytest.raises(ValidationError):
        StackSettings(port_base=port_base)
