import pytest

from services.runtime.kafka_admin import connect_admin, create_topics
from services.tools.demo.leftovers import delete_topics
from services.wire.topics import TOPICS
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka


def test_topics_a_demo_made_for_itself_are_gone_and_others_stay(stack_infra: StackInfra) -> None:
    bootstrap = stack_infra.addresses.kafka_bootstrap

    def topics_of(prefix: str) -> list[str]:
        names = connect_admin(bootstrap).list_topics(timeout=10).topics
        return [name for name in names if name.startswith(prefix)]

    create_topics(bootstrap, "leftover-1.")
    create_topics(bootstrap, "leftover-2.")
    assert delete_topics(bootstrap, "leftover-1.")
    wait_until(lambda: not topics_of("leftover-1."), "the topics to be gone")
    assert len(topics_of("leftover-2.")) == len(TOPICS)
    assert not delete_topics(bootstrap, "leftover-1.")


def test_the_exchanges_own_topics_are_never_deleted() -> None:
    with pytest.raises(AssertionError, match="not a demo's to delete"):
        delete_topics("127.0.0.1:1", "")
