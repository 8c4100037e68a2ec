import socket
import zipfile
from pathlib import Path

import pytest

from services.tools.stack.errors import StackError
from services.tools.stack.fetch import KAFKA, directory_of
from services.tools.stack.kafka_tools import TOOLS, command_line, require_broker
from services.tools.stack.settings import PORT_OFFSETS, StackSettings
from tests.support.stack_fixture import COMPONENTS

_SETTINGS = StackSettings(port_base=19000, components=COMPONENTS)


def test_a_tool_is_told_where_this_stacks_broker_is() -> None:
    command = command_line(_SETTINGS, "topics", ["--list"])
    assert command[-4:] == [TOOLS["topics"], "--bootstrap-server", "127.0.0.1:19092", "--list"]


@pytest.mark.parametrize(
    "arguments", [["--bootstrap-server", "elsewhere:9092"], ["--bootstrap-server=elsewhere:9092"]]
)
def test_a_broker_that_is_named_wins(arguments: list[str]) -> None:
    assert command_line(_SETTINGS, "topics", arguments)[-len(arguments) - 1 :] == [
        TOOLS["topics"],
        *arguments,
    ]


def test_a_tool_that_reads_files_is_told_of_no_broker() -> None:
    assert "--bootstrap-server" not in command_line(_SETTINGS, "dump-log", ["--files", "x"])


def test_a_tool_without_a_broker_is_refused_at_once_unless_it_asks_none_here() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        # Bound and not listening: taken, so somebody may answer.
        settings = StackSettings(port_base=port - PORT_OFFSETS["kafka"], components=COMPONENTS)
        require_broker(settings, "topics", ["--list"])
    with pytest.raises(StackError, match=rf"127\.0\.0\.1:{port}: start it with `outcry up`"):
        require_broker(settings, "topics", ["--list"])
    require_broker(settings, "topics", ["--bootstrap-server", "elsewhere:9092", "--list"])
    require_broker(settings, "topics", ["--help"])
    require_broker(settings, "dump-log", ["--files", "x"])


def test_an_unknown_tool_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(StackError, match=r"no Kafka tool named topic; there are: .*topics"):
        command_line(_SETTINGS, "topic", [])


def test_every_tool_is_in_the_jars_that_are_fetched() -> None:
    jars: Path = directory_of(KAFKA, COMPONENTS)
    if not jars.is_dir():
        pytest.skip("Kafka is not fetched in this checkout yet: run `outcry up` once")
    classes: set[str] = set()
    for jar in jars.glob("kafka*.jar"):
        classes.update(zipfile.ZipFile(jar).namelist())
    for name, class_name in TOOLS.items():
        assert class_name.replace(".", "/") + ".class" in classes, name
