import asyncio

import pytest

from services.gateway.key_ring import KeyRing, RingLimits
from services.gateway.metrics import METRICS
from services.runtime.telemetry import Telemetry
from tests.support.gateway_keys import (
    ALICE,
    BOB,
    EXPIRED,
    REVOKED,
    SERVER_SECRET,
    Clock,
    MemoryKeys,
    make_owner,
    make_ring,
)


async def test_a_key_is_found_while_it_counts() -> None:
    ring = await make_ring()
    assert ring.find(ALICE.kept.key_id) == ALICE.kept
    assert ring.find(EXPIRED.kept.key_id) is None
    assert ring.find(REVOKED.kept.key_id) is None


async def test_a_key_expires_by_itself() -> None:
    clock = Clock()
    brief = make_owner(1, "alice", "read", expires_at_us=clock.wall_us() + 5_000_000)
    ring = await make_ring(MemoryKeys([brief]), clock)
    assert ring.find(brief.kept.key_id) is not None
    clock.seconds += 5
    assert ring.find(brief.kept.key_id) is None


async def test_a_revoked_and_a_new_key_are_known_after_the_next_question() -> None:
    source = MemoryKeys([ALICE])
    ring = await make_ring(source)
    source.revoke(ALICE)
    source.keys.append(BOB.kept)
    await ring.refresh()
    assert ring.find(ALICE.kept.key_id) is None
    assert ring.find(BOB.kept.key_id) == BOB.kept


async def test_keys_are_loaded_only_when_something_changed() -> None:
    source = MemoryKeys()
    ring = await make_ring(source)
    for _ in range(5):
        await ring.refresh()
    assert source.loads == 1


async def test_while_the_database_is_away_keys_count_for_so_long() -> None:
    clock, source = Clock(), MemoryKeys()
    ring = await make_ring(source, clock)
    source.is_away = True
    fresh = []
    for later_s, away in ((60, True), (0.001, True), (0, False)):
        clock.seconds += later_s
        source.is_away = away
        await ring.refresh()
        fresh.append(ring.is_fresh)
    assert fresh == [True, False, True]


async def test_before_the_first_answer_no_key_counts() -> None:
    source = MemoryKeys()
    source.is_away = True
    ring = await make_ring(source)
    assert not ring.is_fresh
    assert ring.find(ALICE.kept.key_id) is None


async def test_of_more_keys_than_fit_the_oldest_count(capsys: pytest.CaptureFixture[str]) -> None:
    ring = await make_ring(MemoryKeys([ALICE, BOB]), keys_max=1)
    assert ring.find(ALICE.kept.key_id) is not None
    assert ring.find(BOB.kept.key_id) is None
    assert "keys_full" in capsys.readouterr().out


async def test_it_asks_again_and_again_and_tells_after_each_try() -> None:
    source = MemoryKeys()
    limits = RingLimits(refresh_ms=10, stale_ms_max=60_000, keys_max=10)
    ring = KeyRing(source, SERVER_SECRET, limits, Telemetry("gateway", metrics=METRICS))
    told = asyncio.Event()
    tries = 0

    def note() -> None:
        nonlocal tries
        tries += 1
        source.is_away = tries == 2
        if tries > 3:
            told.set()

    task = asyncio.create_task(ring.keep_fresh(note))
    await asyncio.wait_for(told.wait(), 60)
    task.cancel()
    assert ring.is_fresh
