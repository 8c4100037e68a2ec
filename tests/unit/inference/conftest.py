"""A room with a model in service, and a client of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.inference_world import InferenceWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[InferenceWorld]:
    """With a champion, version 1."""
    made = InferenceWorld(tmp_path)
    made.registry.add(1)
    made.serve(1)
    yield made
    made.close()


@pytest.fixture
async def client(world: InferenceWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with world.client() as made:
        yield made
