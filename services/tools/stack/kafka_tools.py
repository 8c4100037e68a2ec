"""Kafka's own console tools, run from the jars of the broker."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from services.tools.stack.errors import StackError
from services.tools.stack.fetch import INFRA_DIRECTORY, KAFKA, directory_of
from services.tools.stack.portcheck import is_free
from services.tools.stack.programs import java
from services.tools.stack.settings import HOST, StackSettings

_TOOLS: Final = "org.apache.kafka.tools"
TOOLS: Final = MappingProxyType(
    {
        "broker-api-versions": f"{_TOOLS}.BrokerApiVersionsCommand",
        "configs": "kafka.admin.ConfigCommand",
        "console-consumer": f"{_TOOLS}.consumer.ConsoleConsumer",
        "console-producer": f"{_TOOLS}.ConsoleProducer",
        "consumer-groups": f"{_TOOLS}.consumer.group.ConsumerGroupCommand",
        "consumer-perf-test": f"{_TOOLS}.ConsumerPerformance",
        "delete-records": f"{_TOOLS}.DeleteRecordsCommand",
        "dump-log": "kafka.tools.DumpLogSegments",
        "features": f"{_TOOLS}.FeatureCommand",
        "get-offsets": f"{_TOOLS}.GetOffsetShell",
        "log-dirs": f"{_TOOLS}.LogDirsCommand",
        "producer-perf-test": f"{_TOOLS}.ProducerPerformance",
        "topics": f"{_TOOLS}.TopicCommand",
        "transactions": f"{_TOOLS}.TransactionsCommand",
    }
)
"""By the names of Kafka's own scripts (`kafka-topics.sh` is `topics`)."""

_READS_FILES: Final = frozenset({"dump-log"})
_SERVER: Final = "--bootstrap-server"


def command_line(settings: StackSettings, tool: str, arguments: Sequence[str]) -> list[str]:
    """What to execute: the tool, told where this stack's broker is unless `arguments` say."""
    return tool_command(settings.components, settings.port("kafka"), tool, arguments)


def tool_command(
    components: Path, broker_port: int, tool: str, arguments: Sequence[str]
) -> list[str]:
    """The same, for who has a plan and no settings."""
    if tool not in TOOLS:
        raise StackError(f"no Kafka tool named {tool}; there are: {', '.join(TOOLS)}")
    server = [_SERVER, f"{HOST}:{broker_port}"] if _asks_here(tool, arguments) else []
    logging = INFRA_DIRECTORY / "kafka" / "tools-log4j2.properties"
    return [
        java(),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={logging}",
        "-cp",
        f"{directory_of(KAFKA, components)}/*",
        TOOLS[tool],
        *server,
        *arguments,
    ]


def require_broker(settings: StackSettings, tool: str, arguments: Sequence[str]) -> None:
    """Say at once that this stack's broker is not there: the tools try again for ever.

    Raises:
        StackError: the tool would ask it, and nothing listens.
    """
    port = settings.port("kafka")
    if _asks_here(tool, arguments) and is_free(port):
        raise StackError(
            f"Kafka does not answer at {HOST}:{port}: start it with `outcry up`,"
            " or set OUTCRY_PORT_BASE"
        )


def _asks_here(tool: str, arguments: Sequence[str]) -> bool:
    named = any(argument.split("=")[0] == _SERVER for argument in arguments)
    return not (named or tool in _READS_FILES or "--help" in arguments)
