import re
from pathlib import Path

from services.tools.stack.backoff import DELAY_MAX_S, FIRST_DELAY_S, HEALTHY_AFTER_S
from services.tools.stack.components import READY_TIMEOUT_S, STOP_TIMEOUT_S
from services.tools.stack.fetch import INFRA_DIRECTORY
from services.tools.stack.settings import PORT_OFFSETS

_PAGE = (INFRA_DIRECTORY / "local" / "README.md").read_text(encoding="utf-8")


def test_the_page_on_the_local_stack_names_every_port() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", _PAGE, re.MULTILINE)
    written = [int(offset) for row in rows for offset in row.split(",")]
    assert sorted(written) == sorted(PORT_OFFSETS.values())


def test_the_page_on_the_local_stack_states_the_limits_as_they_are() -> None:
    for seconds in (FIRST_DELAY_S, DELAY_MAX_S, HEALTHY_AFTER_S, READY_TIMEOUT_S, STOP_TIMEOUT_S):
        assert f"{seconds:g} s" in _PAGE.replace("\n", " "), seconds


def test_the_files_the_page_leads_to_are_there() -> None:
    for target in re.findall(r"\]\((\S+)\)", _PAGE):
        assert (Path(INFRA_DIRECTORY) / "local" / target).is_file()
