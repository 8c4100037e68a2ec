"""Work that outlasts its time: what becomes of it, and how much of it there may be."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from services.door.problems import ProblemError
from services.inference.threads import Permit, Threads
from tests.support.inference_world import eventually

SOON_MS = 20
STARTED_MS = 1_000
"""In which a thread surely starts."""


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets what hangs go on; at the end in any case, or the threads would never end."""
    made = threading.Event()
    yield made
    made.set()


async def test_what_is_done_in_time_is_answered_and_what_fails_fails() -> None:
    pool = Threads("t", threads=1, places_max=2)
    assert await pool.do(lambda permit: permit.take(), 60_000) is True
    with pytest.raises(ZeroDivisionError):
        await pool.do(lambda _: 1 // 0, 60_000)
    pool.close()


async def test_what_was_given_up_gets_no_permit_and_if_it_had_not_begun_never_does(
    release: threading.Event,
) -> None:
    pool = Threads("t", threads=1, places_max=2)
    permits: list[bool] = []
    begun: list[str] = []

    def hang(permit: Permit) -> None:
        release.wait(60)
        permits.append(permit.take())

    for work in (hang, lambda _: begun.append("late")):
        with pytest.raises(ProblemError, match=f"longer than {SOON_MS} ms"):
            await pool.do(work, SOON_MS)
    release.set()
    await pool.do(lambda _: begun.append("next"), 60_000)
    assert (permits, begun) == ([False], ["next"])
    pool.close()


async def test_what_has_its_permit_as_time_runs_out_is_answered(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Permit.withdraw

    def withdraw(self: Permit) -> bool:
        release.set()
        return plain(self)

    monkeypatch.setattr(Permit, "withdraw", withdraw)
    pool = Threads("t", threads=1, places_max=2)

    def record(permit: Permit) -> str:
        assert permit.take()
        release.wait(60)
        return "recorded"

    assert await pool.do(record, STARTED_MS) == "recorded"
    assert release.is_set(), "the time ran out before the answer"
    pool.close()


async def test_who_goes_away_withdraws_the_permit(release: threading.Event) -> None:
    pool = Threads("t", threads=1, places_max=2)
    permits: list[bool] = []
    begun = threading.Event()

    def hang(permit: Permit) -> None:
        begun.set()
        release.wait(60)
        permits.append(permit.take())

    asking = asyncio.create_task(pool.do(hang, 60_000))
    await eventually(begun.is_set)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    release.set()
    pool.close()
    assert permits == [False]


async def test_however_many_give_up_no_more_than_the_places_are_kept(
    release: threading.Event,
) -> None:
    pool = Threads("t", threads=1, places_max=3)
    kept: list[int] = []

    def hang(_: Permit) -> None:
        release.wait(60)

    for _ in range(6):
        with pytest.raises(ProblemError):
            await pool.do(hang, SOON_MS)
        kept.append(pool.held)
    assert kept == [1, 2, 3, 3, 3, 3]
    release.set()
    await eventually(lambda: pool.held == 0)
    assert await pool.do(lambda _: "free again", 60_000) == "free again"
    pool.close()
