"""A deployment of its own for each test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recorder_world import RecorderWorld
from tests.support.stack_fixture import StackInfra


@pytest.fixture
def world(stack_infra: StackInfra, tmp_path: Path) -> Iterator[RecorderWorld]:
    """Topics and a migrated database on the session's stack."""
    made = RecorderWorld(stack_infra.addresses, tmp_path)
    yield made
    made.close()
