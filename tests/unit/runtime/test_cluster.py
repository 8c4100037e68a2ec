"""A deployment on another cluster than its own is refused."""

import pytest
from structlog.testing import capture_logs

from services.runtime import cluster, kafka_admin, snapshots
from services.runtime.cluster import hold_cluster, hold_own_cluster
from services.runtime.errors import ConfigurationError, NoTablesError, RetriableError
from services.runtime.settings import RoomSettings
from services.runtime.telemetry import Telemetry
from services.tools.operate import connect
from services.tools.operate.connect import Deployment


class Memory:
    def __init__(self) -> None:
        self._first = ""

    def remember_cluster(self, cluster_id: str) -> str:
        self._first = self._first or cluster_id
        return self._first


def test_the_first_cluster_is_remembered_and_held() -> None:
    memory = Memory()
    assert hold_cluster("one", "kafka:9092", memory, "default") == "one"
    assert hold_cluster("one", "kafka:9092", memory, "default") == "one"


def test_another_one_is_refused_with_both_ids_and_the_next_step() -> None:
    memory = Memory()
    hold_cluster("one", "kafka:9092", memory, "default")
    with pytest.raises(ConfigurationError) as refused:
        hold_cluster("two", "kafka:9092", memory, "default")
    text = str(refused.value)
    assert "the Kafka cluster at kafka:9092 is two" in text
    assert "remembers deployment default on cluster one: nothing was read or written" in text
    assert "OUTCRY_KAFKA_BOOTSTRAP" in text
    assert "OUTCRY_TOPIC_PREFIX" in text
    assert "\n" not in text


class Gone(Memory):
    """A database that can't say."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def remember_cluster(self, cluster_id: str) -> str:
        raise self._error


AWAY = RetriableError("PostgreSQL: connection refused")
BARE = NoTablesError("PostgreSQL has no tables of Outcry")


def elsewhere() -> Memory:
    memory = Memory()
    memory.remember_cluster("elsewhere")
    return memory


def room_says(monkeypatch: pytest.MonkeyPatch, memory: Memory) -> list[str]:
    """What a room logs while it looks at the cluster named ours."""
    monkeypatch.setattr(cluster, "ask_cluster_id", lambda _bootstrap: "ours")
    settings = RoomSettings(kafka_bootstrap="kafka:9092", registry_url="http://registry")
    with capture_logs() as lines:
        hold_own_cluster(settings, memory, Telemetry("risk"))
    return [str(line["event"]) for line in lines]


def test_a_room_works_while_the_database_is_away_and_says_what_it_did_not_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert room_says(monkeypatch, Memory()) == []
    assert room_says(monkeypatch, Gone(AWAY)) == ["cluster_unchecked"]


@pytest.mark.parametrize("memory", [elsewhere(), Gone(BARE)])
def test_a_room_refuses_another_cluster_and_a_database_that_was_never_prepared(
    monkeypatch: pytest.MonkeyPatch, memory: Memory
) -> None:
    with pytest.raises(ConfigurationError):
        room_says(monkeypatch, memory)


def command_runs(monkeypatch: pytest.MonkeyPatch, memory: Memory) -> None:
    """What a command of `outcry` asks before it writes."""
    monkeypatch.setattr(kafka_admin, "ask_cluster_id", lambda _bootstrap: "ours")
    monkeypatch.setattr(connect, "require_listening", lambda *_: None)
    monkeypatch.setattr(snapshots, "PostgresSnapshots", lambda *_, **__: memory)
    connect.hold_own_cluster(Deployment("kafka:9092", "http://registry", "postgresql://", ""))


def test_a_command_works_while_the_database_is_away_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever halts a ticker can't wait for PostgreSQL."""
    command_runs(monkeypatch, Memory())
    command_runs(monkeypatch, Gone(BARE))
    assert capsys.readouterr().err == ""
    command_runs(monkeypatch, Gone(AWAY))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: not checked whether cluster ours is ours: PostgreSQL")


def test_a_command_refuses_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="on cluster elsewhere: nothing was read"):
        command_runs(monkeypatch, elsewhere())
