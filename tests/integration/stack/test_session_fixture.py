import json
from urllib.request import urlopen

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from tests.support.stack_fixture import StackInfra

pytestmark = pytest.mark.kafka


def test_the_infrastructure_answers_at_its_addresses(stack_infra: StackInfra) -> None:
    addresses = stack_infra.addresses
    brokers = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap}).list_topics(timeout=10)
    assert len(brokers.brokers) == 1
    with psycopg.connect(addresses.pg_dsn) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_the_registry_refuses_incompatible_schemas_by_default(stack_infra: StackInfra) -> None:
    with urlopen(f"{stack_infra.addresses.registry_url}/config", timeout=10) as answer:  # noqa: S310
        assert json.load(answer) == {"compatibilityLevel": "FULL_TRANSITIVE"}
