"""Snapshots of every format ever written load for ever, and mean what they meant."""

import msgspec
import pytest

from services.domain import codes
from services.domain.events import BookDepth, Level
from services.runtime.ports import FoldFactory
from services.runtime.restore import hash_state, load_state
from services.tools.proof.snapshots_verify import STATEFUL
from services.wire.codec import local_codec
from services.wire.topics import BOOK
from tests.support.golden_snapshots import GOLDEN_SNAPSHOTS, place_of, read_golden, state_path

GOLDEN_TOP = (Level(4_150_300, 300, 1), Level(4_151_000, 500, 1))


def factory_of(room: str) -> FoldFactory:
    return STATEFUL[room][0](local_codec(), lambda _record, _error: None)


VERSIONS = [(r, v) for r in STATEFUL for v in range(1, factory_of(r).format_version + 1)]


@pytest.mark.parametrize("room,version", VERSIONS)
def test_a_snapshot_of_each_format_loads_and_keeps_its_hash(room: str, version: int) -> None:
    golden, factory = read_golden(room, version), factory_of(room)
    assert golden.format_version == version
    fold = load_state(factory, place_of(room), golden)
    assert fold.genesis_hash() == golden.genesis_hash
    again = fold.dump()
    assert load_state(
        factory,
        place_of(room),
        msgspec.structs.replace(
            golden, state=again, state_hash=hash_state(again),
            format_version=factory.format_version,
        ),
    ).dump() == again  # fmt: skip
    if version == factory.format_version:
        assert again == golden.state


def test_every_file_is_of_a_room_and_a_format_that_this_version_knows() -> None:
    expected = {state_path(*known).name for known in VERSIONS}
    assert {path.name for path in GOLDEN_SNAPSHOTS.glob("*.bin")} == expected


@pytest.mark.parametrize("room", STATEFUL)
def test_a_format_is_raised_only_with_a_migration_from_the_one_before(room: str) -> None:
    factory = factory_of(room)
    assert sorted(factory.migrations) == list(range(1, factory.format_version))


def test_the_golden_book_shows_what_it_showed() -> None:
    """The first state that was ever stored has this top of book, whatever reads it."""
    golden = read_golden("matcher", 1)
    fold = load_state(factory_of("matcher"), place_of("matcher"), golden)
    fold._core._stirred = True  # type: ignore[attr-defined]  # as after any command
    (shown,) = fold.at_batch_end()
    depth = local_codec().decode(BOOK.name, shown.value).payload
    assert isinstance(depth, BookDepth)
    assert (depth.ticker, depth.status) == ("MSFT", codes.OPEN)
    assert (depth.bids[0], depth.asks[0]) == GOLDEN_TOP
