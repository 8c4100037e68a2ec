"""Which exchange a command speaks to: that of the stack settings in the environment."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from services.tools.operate.errors import UnreachableError

if TYPE_CHECKING:
    import psycopg

    from services.runtime.ports import LogReader
    from services.tools.operate.exchange import KafkaExchange
    from services.wire.codec import Codec

_CONNECT_TIMEOUT_S: Final = 2.0
_START_IT: Final = "start it with `outcry up`, or set OUTCRY_PORT_BASE"


class Deployment(msgspec.Struct, frozen=True):
    """Addresses and names of one exchange."""

    bootstrap: str
    registry_url: str
    pg_dsn: str
    prefix: str
    """Put before the name of every topic."""

    @property
    def name(self) -> str:
        """What tells its rows apart in PostgreSQL."""
        return self.prefix or "default"


def read_deployment() -> Deployment:
    """From OUTCRY_PORT_BASE, OUTCRY_TOPIC_PREFIX and OUTCRY_PG_DSN, as the stack reads them.

    OUTCRY_KAFKA_BOOTSTRAP and OUTCRY_REGISTRY_URL, which rooms are told, stand before the ports: a
    room that starts a command, or a container, is told addresses.

    Raises:
        ConfigurationError: a setting makes no sense; the message names it.
    """
    from services.runtime.settings import read_settings
    from services.tools.stack.plan import stack_plan
    from services.tools.stack.settings import StackSettings, ToldAddresses

    settings = read_settings(StackSettings)
    addresses = stack_plan(settings, ()).addresses
    told = read_settings(ToldAddresses)
    return Deployment(
        told.kafka_bootstrap or addresses.kafka_bootstrap,
        told.registry_url or addresses.registry_url,
        addresses.pg_dsn,
        settings.topic_prefix,
    )


def load_codec(deployment: Deployment) -> "Codec":
    """The codec, from the registry.

    Raises:
        UnreachableError: the registry does not answer.
    """
    from services.runtime.registry import load_codec as load

    require_registry(deployment)
    return load(deployment.registry_url)


@contextmanager
def open_exchange(deployment: Deployment) -> Iterator["KafkaExchange"]:
    """A client of the exchange.

    Raises:
        ConfigurationError: another cluster answers than the exchange's own.
        UnreachableError: Kafka or the registry does not answer.
    """
    from services.tools.operate.exchange import KafkaExchange

    hold_own_cluster(deployment)
    with KafkaExchange(deployment.bootstrap, deployment.prefix, load_codec(deployment)) as exchange:
        yield exchange


@contextmanager
def open_log(deployment: Deployment, *, has_traces: bool = True) -> Iterator["LogReader"]:
    """A reader of committed records, patient with a broker that has just restarted.

    Args:
        deployment: whose log.
        has_traces: whether records come with the headers of their traces, which takes time.

    Raises:
        UnreachableError: Kafka does not answer.
    """
    from services.runtime.kafka import KafkaConnection
    from services.runtime.kafka_reader import KafkaReader
    from services.runtime.patient_log import PatientLog

    require_listening("Kafka", deployment.bootstrap)
    connection = KafkaConnection(deployment.bootstrap, deployment.prefix, has_traces=has_traces)
    log = PatientLog(KafkaReader(connection))
    try:
        yield log
    finally:
        log.close()


@contextmanager
def open_database(deployment: Deployment) -> Iterator["psycopg.Connection"]:
    """A read-only connection to what the recorder wrote, one transaction long.

    Raises:
        UnreachableError: PostgreSQL does not answer, or was never prepared.
    """
    import psycopg

    try:
        with psycopg.connect(deployment.pg_dsn, connect_timeout=int(_CONNECT_TIMEOUT_S)) as session:
            session.read_only = True
            yield session
    except psycopg.errors.UndefinedTable as error:
        raise UnreachableError(
            "the database was never prepared: start the exchange with `outcry up`"
        ) from error
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())[:160]
        raise UnreachableError(
            f"PostgreSQL does not answer ({reason}): {_START_IT} or OUTCRY_PG_DSN"
        ) from error


def require_own_cluster(deployment: Deployment) -> None:
    """Refuse a Kafka cluster that is not the one on which PostgreSQL first saw the deployment.

    Raises:
        ConfigurationError: it is another one; the message names both.
        UnreachableError: Kafka or PostgreSQL does not answer.
    """
    from services.runtime.cluster import require_same_cluster
    from services.runtime.snapshots import PostgresSnapshots

    require_listening("Kafka", deployment.bootstrap)
    with open_database(deployment):
        pass  # it answers, and is one of ours
    memory = PostgresSnapshots(deployment.pg_dsn, deployment.name, kept=2)
    require_same_cluster(deployment.bootstrap, memory, deployment.name)


def hold_own_cluster(deployment: Deployment) -> None:
    """As `require_own_cluster`, for whoever is about to write, also while PostgreSQL is away.

    An operator halts a ticker and a client cancels an order whatever becomes of the record, so a
    database that does not answer is a warning; one without tables has nothing to compare with.

    Raises:
        ConfigurationError: another cluster answers than the exchange's own.
        UnreachableError: Kafka does not answer.
    """
    from services.runtime.cluster import hold_cluster
    from services.runtime.errors import NoTablesError, RetriableError
    from services.runtime.kafka_admin import ask_cluster_id
    from services.runtime.snapshots import PostgresSnapshots

    require_listening("Kafka", deployment.bootstrap)
    cluster_id = ask_cluster_id(deployment.bootstrap)
    memory = PostgresSnapshots(deployment.pg_dsn, deployment.name, kept=2)
    try:
        hold_cluster(cluster_id, deployment.bootstrap, memory, deployment.name)
    except NoTablesError:
        pass  # the first `outcry up` with rooms will remember it
    except RetriableError as error:
        sys.stderr.write(f"warning: not checked whether cluster {cluster_id} is ours: {error}\n")


def require_registry(deployment: Deployment) -> None:
    """Find out at once whether the schema registry is there.

    Raises:
        UnreachableError: it is not.
    """
    location = urlsplit(deployment.registry_url)
    require_listening("the schema registry", f"{location.hostname}:{location.port}")


def require_listening(name: str, address: str) -> None:
    """Find out at once that nobody is there, instead of after a client library's retries.

    Raises:
        UnreachableError: nothing accepts connections at `host:port`.
    """
    host, _, port = address.partition(",")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise UnreachableError(f"{name} does not answer at {address}: {_START_IT}") from error
