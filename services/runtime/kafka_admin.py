"""Topics: making them from the table in wire/topics.py, and checking that they are as it says."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final, cast

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from services.runtime.errors import ConfigurationError, RetriableError
from services.wire.topics import TOPICS, Topic

_REQUEST_TIMEOUT_S: Final = 20.0
_METADATA_WAIT_S: Final = 20.0
_METADATA_POLL_S: Final = 0.05
_KEPT_MS: Final = 7 * 24 * 3_600 * 1_000
_FOR_EVER: Final = "-1"


def connect_admin(bootstrap: str) -> AdminClient:
    """An admin client; connects in the background, so it never fails here."""
    return AdminClient(
        {"bootstrap.servers": bootstrap, "log_level": 2, "socket.timeout.ms": 20_000}
    )


def topic_config(topic: Topic) -> dict[str, str]:
    """A topic's configuration on the broker, from its row in the table."""
    config = {
        "cleanup.policy": "compact" if topic.cleanup == "compact" else "delete",
        "message.timestamp.type": "LogAppendTime" if topic.log_append_time else "CreateTime",
    }
    match topic.cleanup:
        case "delete":
            config["retention.ms"] = str(_KEPT_MS)
        case "forever":
            config["retention.ms"] = config["retention.bytes"] = _FOR_EVER
        case "compact":
            pass
    return config


def ask_cluster_id(bootstrap: str) -> str:
    """The id that the cluster behind this address was formatted with.

    Raises:
        RetriableError: no broker answers.
    """
    admin = connect_admin(bootstrap)  # held by a name: with its last reference its answers go too
    try:
        future = admin.describe_cluster(request_timeout=_REQUEST_TIMEOUT_S)
    except KafkaException as error:
        raise _away(bootstrap, error) from error
    return str(cast("Any", _result(bootstrap, future)).cluster_id)


def create_topics(bootstrap: str, prefix: str = "", topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Make the topics that are missing, then check them all; returns the full names made.

    Blocks for some seconds at most.

    Raises:
        RetriableError: no broker answers.
        ConfigurationError: a topic exists and is not as the table says.
    """
    admin = connect_admin(bootstrap)
    wanted = [
        NewTopic(
            prefix + topic.name,
            num_partitions=topic.partitions,
            replication_factor=-1,  # as the broker is told
            config=topic_config(topic),
        )
        for topic in topics
    ]
    made = []
    for name, future in _request(bootstrap, lambda: admin.create_topics(wanted)).items():
        try:
            _result(bootstrap, future)
        except KafkaException as error:
            if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                msg = f"topic {name} can't be made: {_reason(error)}"
                raise ConfigurationError(msg) from error
        else:
            made.append(name)
    _await_leaders(admin, bootstrap, made)
    check_topics(bootstrap, prefix, topics)
    return made


def check_topics(bootstrap: str, prefix: str = "", topics: Sequence[Topic] = TOPICS) -> None:
    """Check partition counts and configuration of the deployment's topics.

    Raises:
        RetriableError: no broker answers.
        ConfigurationError: a topic is missing or not as the table says; one line with all faults.
    """
    admin = connect_admin(bootstrap)
    described = describe_topics(admin, bootstrap, [prefix + topic.name for topic in topics])
    resources = [
        ConfigResource(ResourceType.TOPIC, prefix + topic.name)
        for topic in topics
        if prefix + topic.name in described
    ]
    futures = _request(bootstrap, lambda: admin.describe_configs(resources)) if resources else {}
    configs = {
        resource.name: cast("dict[str, ConfigEntry]", _result(bootstrap, future))
        for resource, future in futures.items()
    }
    faults = []
    for topic in topics:
        name = prefix + topic.name
        if name not in described:
            faults.append(f"topic {name} is missing; run `outcry topics create`")
            continue
        count = len(described[name].partitions)
        if count != topic.partitions:
            faults.append(
                f"topic {name} has {count} partitions and needs {topic.partitions}, which is fixed"
                " at genesis; use another OUTCRY_TOPIC_PREFIX"
            )
        faults += [
            f"topic {name} has {key}={configs[name][key].value} and needs {value};"
            " set it with kafka-configs.sh"
            for key, value in topic_config(topic).items()
            if configs[name][key].value != value
        ]
    if faults:
        raise ConfigurationError("; ".join(faults))


def _await_leaders(admin: AdminClient, bootstrap: str, names: Sequence[str]) -> None:
    """Wait until the broker knows what its controller has just made, and leads all of it.

    The answer to a creation comes before that; on a busy machine, seconds before.
    """
    give_up_at_s = time.monotonic() + _METADATA_WAIT_S
    while names:
        found = describe_topics(admin, bootstrap, names)
        if len(found) == len(names) and all(is_led(admin, topic) for topic in found.values()):
            return
        if time.monotonic() > give_up_at_s:
            raise RetriableError(f"the broker at {bootstrap} does not lead its new topics yet")
        time.sleep(_METADATA_POLL_S)


def is_led(admin: AdminClient, topic: TopicDescription) -> bool:
    """Whether every partition answers its leader's questions, and not only has one by name."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library has no types here
    wanted = {TopicPartition(topic.name, at.id): latest for at in topic.partitions}
    try:
        for future in admin.list_offsets(wanted).values():
            future.result(timeout=_REQUEST_TIMEOUT_S)
    except KafkaException:
        return False
    return True


def describe_topics(
    admin: AdminClient, bootstrap: str, names: Sequence[str]
) -> dict[str, TopicDescription]:
    """The topics that exist among these full names.

    Raises:
        RetriableError: no broker answers.
    """
    futures = _request(bootstrap, lambda: admin.describe_topics(TopicCollection(list(names))))
    found = {}
    for name, future in futures.items():
        try:
            found[name] = cast("TopicDescription", _result(bootstrap, future))
        except KafkaException as error:
            if _code(error) != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise RetriableError(f"topic {name}: {_reason(error)}") from error
    return found


type _Request = Any  # confluent_kafka types its futures' keys and results loosely


def _request(bootstrap: str, ask: _Request) -> dict[Any, Future[Any]]:
    try:
        return cast("dict[Any, Future[Any]]", ask())
    except KafkaException as error:
        raise _away(bootstrap, error) from error


def _result(bootstrap: str, future: Future[Any]) -> object:
    try:
        return future.result(timeout=_REQUEST_TIMEOUT_S)
    except TimeoutError as error:
        raise _away(bootstrap, error) from error
    except KafkaException as error:
        if _code(error) in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):  # noqa: SLF001
            raise _away(bootstrap, error) from error
        raise


def _away(bootstrap: str, error: Exception) -> RetriableError:
    return RetriableError(f"no Kafka broker answers at {bootstrap} ({error}); start it")


def _code(error: KafkaException) -> int:
    return cast("KafkaError", error.args[0]).code()


def _reason(error: KafkaException) -> str:
    return cast("KafkaError", error.args[0]).str()
