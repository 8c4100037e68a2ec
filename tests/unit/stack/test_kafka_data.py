"""Data that a newer Kafka formatted is refused with the cause and the next step."""

from pathlib import Path

import pytest

from services.tools.stack.errors import StackError
from services.tools.stack.kafka_data import note_version, require_readable


@pytest.mark.parametrize("wrote", ["4.2.2", "4.2.9", "4.1.0", "3.9.2"])
def test_data_of_the_same_or_an_older_line_is_read(tmp_path: Path, wrote: str) -> None:
    note_version(tmp_path, wrote)
    require_readable(tmp_path, "4.2.2")
    assert (tmp_path / "version").read_text() == wrote


@pytest.mark.parametrize("wrote", ["4.3.0", "4.10.1", "5.0.0"])
def test_data_of_a_newer_line_is_refused_by_name(tmp_path: Path, wrote: str) -> None:
    note_version(tmp_path, wrote)
    with pytest.raises(StackError, match=f"Kafka {wrote} formatted.*Kafka 4.2.2.*OUTCRY_HOME"):
        require_readable(tmp_path, "4.2.2")


def test_data_without_a_note_is_of_the_version_that_made_none(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"Kafka 4\.3\.1 formatted"):
        require_readable(tmp_path, "4.2.2")
