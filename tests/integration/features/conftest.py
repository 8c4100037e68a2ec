"""A deployment of its own for each test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.feature_world import FeatureWorld
from tests.support.stack_fixture import StackInfra


@pytest.fixture
def world(stack_infra: StackInfra, tmp_path: Path) -> Iterator[FeatureWorld]:
    """The feature room's topics on the session's stack. It keeps no files, wherever it runs."""
    made = FeatureWorld(stack_infra.addresses, tmp_path)
    yield made
    made.close()
    assert not list(Path.cwd().glob(f"{made.prefix}*"))
