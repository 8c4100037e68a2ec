"""What `outcry up` does before the first room starts, beyond topics, schemas and tables."""

from services.domain.controls import Genesis
from services.domain.genesis import default_genesis, hash_genesis
from services.tools.operate.connect import Deployment, load_codec, open_log
from services.tools.operate.genesis import ensure_genesis
from services.tools.stack.plan import Addresses


def publish_genesis(addresses: Addresses, topic_prefix: str) -> str:
    """A step of `prepare`: the shipped genesis, unless `controls` holds one."""
    genesis, is_new = begin(addresses, topic_prefix, default_genesis())
    found = "published" if is_new else "in force"
    return f"{genesis.deployment} {hash_genesis(genesis)[:16]} {found}"


def begin(addresses: Addresses, topic_prefix: str, genesis: Genesis) -> tuple[Genesis, bool]:
    """Make `genesis` the deployment's unless it has one; the one in force, and whether it is new.

    Needs topics and schemas. Call it before a deployment's rooms start (`RoomSet.start`) to give
    it a genesis other than the shipped one.

    Raises:
        ConfigurationError: the genesis, or the one found, does not fit the topics.
        UnreachableError: Kafka or the registry does not answer.
    """
    from services.tools.operate.exchange import KafkaExchange

    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, topic_prefix
    )
    codec = load_codec(deployment)
    with (
        open_log(deployment) as log,
        KafkaExchange(deployment.bootstrap, topic_prefix, codec) as exchange,
    ):
        return ensure_genesis(log, codec, exchange, genesis)
