"""The worlds each port test runs in."""

from collections.abc import Iterator

import pytest

from tests.support.log_worlds import KafkaWorld, MemoryWorld, World


@pytest.fixture(
    params=["memory", "memory with late markers", pytest.param("kafka", marks=pytest.mark.kafka)]
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A log without topics."""
    made: World = MemoryWorld(late_markers=request.param == "memory with late markers")
    if request.param == "kafka":
        made = KafkaWorld(request.getfixturevalue("stack_infra").addresses.kafka_bootstrap)
    yield made
    made.close()
