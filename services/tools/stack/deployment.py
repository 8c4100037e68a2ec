"""The steps that make a deployment out of a bare stack: tables, cluster, topics, schemas.

Each is a step of `prepare`; what does the work is the rooms' own code, imported when it is called.
"""

import os
from pathlib import Path

from services.tools.stack.plan import Addresses


def hold_cluster(addresses: Addresses, topic_prefix: str) -> str:
    """Remember the deployment's Kafka cluster, and refuse another one."""
    from services.runtime.cluster import require_same_cluster
    from services.runtime.snapshots import PostgresSnapshots

    name = topic_prefix or "default"
    memory = PostgresSnapshots(addresses.pg_dsn, name, kept=2)
    return require_same_cluster(addresses.kafka_bootstrap, memory, name)


def create_topics(addresses: Addresses, topic_prefix: str) -> str:
    """Make the topics that are missing and check all of them against the table."""
    from services.runtime.kafka_admin import create_topics as create

    made = create(addresses.kafka_bootstrap, topic_prefix)
    return f"made {', '.join(made)}" if made else "all are there"


def register_schemas(addresses: Addresses, _topic_prefix: str) -> str:
    """Register every schema file; all deployments on one registry share them."""
    from services.runtime.registry import register_schemas as register

    return f"{len(register(addresses.registry_url))} versions are registered"


def migrate_database(addresses: Addresses, _topic_prefix: str) -> str:
    """Bring the tables to this code's shape; rows of deployments are told apart in them."""
    from services.recorder.migrations import migrate

    applied = migrate(addresses.pg_dsn)
    return f"applied {', '.join(applied)}" if applied else "up to date"


def make_keys_secret(_addresses: Addresses, _topic_prefix: str) -> str:
    """Have the secret that API keys are hashed with, so that the gateway can check any."""
    from services.gateway.key_secret import ensure_server_secret

    named = os.environ.get("OUTCRY_GATEWAY_KEYS_SECRET_FILE")
    if not named:
        return "no file is named for their secret, so there are none"
    ensure_server_secret(Path(named))
    return f"hashed with {named}"
