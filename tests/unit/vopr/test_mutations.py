"""Each planted bug is found, within seeds in which the code as it is holds (test_vopr.py)."""

import gc
from collections.abc import Iterator

import pytest

from services.runtime.loop import Loop
from services.runtime.memory_group import GroupToken
from services.tools.proof.vopr.mutations import BY_NAME, MUTATIONS, Mutation
from services.tools.proof.vopr.parts import Parts
from services.tools.proof.vopr.run import hunt

pytestmark = pytest.mark.timeout(600)

SEEDS_MAX = 150
STEPS = 300


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """It takes a fifth of the time, and a hunt is short."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_planted_bug_is_found(mutation: Mutation) -> None:
    found = hunt(mutation.name, STEPS, [1], SEEDS_MAX)
    assert found.is_found, found.finding
    assert f"--mutation {mutation.name}" in found.command


class OutOfDate(Loop[GroupToken]):
    """A plant that calls what its part no longer has."""

    def _commit_part(self, *_: object) -> int:
        raise AttributeError("'Loop' object has no attribute '_fold'")


def test_a_plant_that_no_longer_fits_its_part_does_not_count_as_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stale = Mutation(
        "stale", "nothing any more", Parts(loop=OutOfDate), ("AssertionError", "stages")
    )
    monkeypatch.setitem(BY_NAME, "stale", stale)
    found = hunt("stale", STEPS, [1], 3)
    assert "AttributeError" in found.finding
    assert not found.is_found


def test_at_least_ten_bugs_are_planted_under_names_of_their_own() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 10
