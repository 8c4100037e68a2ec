"""Two clusters mixed up: which Kafka cluster a deployment lives on is remembered, and held.

An address says little: another cluster may answer at it one day. The cluster's own id is asked for
and compared with the one of the deployment's first start, before anything is read or written.
"""

from typing import Protocol

from services.runtime.errors import ConfigurationError, RetriableError
from services.runtime.kafka_admin import ask_cluster_id
from services.runtime.settings import RoomSettings
from services.runtime.telemetry import Telemetry


class ClusterMemory(Protocol):
    """Where a deployment's cluster is remembered; `snapshots.PostgresSnapshots` is one."""

    def remember_cluster(self, cluster_id: str) -> str:
        """Note the id when the deployment is first seen; returns the one first seen.

        Raises:
            RetriableError: the store is away.
            NoTablesError: it was never prepared.
        """


def hold_own_cluster(settings: RoomSettings, memory: ClusterMemory, telemetry: Telemetry) -> None:
    """What a room calls at its start, before anything is read or written.

    A database that is away is a warning, as with snapshots: it never stops matching.

    Raises:
        ConfigurationError: it is another cluster, or the database was never prepared.
        RetriableError: the broker does not answer.
    """
    cluster_id = ask_cluster_id(settings.kafka_bootstrap)
    try:
        hold_cluster(cluster_id, settings.kafka_bootstrap, memory, settings.deployment)
    except RetriableError as error:
        telemetry.log.warning("cluster_unchecked", error=str(error), cluster=cluster_id)


def require_same_cluster(bootstrap: str, memory: ClusterMemory, deployment: str) -> str:
    """Compare the cluster that answers with the one remembered; returns its id.

    Raises:
        ConfigurationError: it is another one.
        RetriableError: the broker or the store does not answer.
    """
    return hold_cluster(ask_cluster_id(bootstrap), bootstrap, memory, deployment)


def hold_cluster(cluster_id: str, bootstrap: str, memory: ClusterMemory, deployment: str) -> str:
    """As `require_same_cluster`, for an id already asked for."""
    first_seen = memory.remember_cluster(cluster_id)
    if first_seen != cluster_id:
        raise ConfigurationError(
            f"the Kafka cluster at {bootstrap} is {cluster_id}, and PostgreSQL remembers deployment"
            f" {deployment} on cluster {first_seen}: nothing was read or written. Point"
            " OUTCRY_KAFKA_BOOTSTRAP at that cluster, or OUTCRY_PG_DSN at this one's database, or"
            " begin a new deployment under another OUTCRY_TOPIC_PREFIX"
        )
    return cluster_id
