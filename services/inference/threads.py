"""Work that may block, on threads of its own, for as long as somebody waits for it.

A thread can't be stopped, so what outlasts its time goes on. It is bounded all the same: each
piece of work has a place until it has ended, and where there is none a new one waits for it within
its own time. What was given up before it began is never begun, and what has begun leaves no trace:
it asks its permit before it does what others can see.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Final

from services.inference.problems import Reason, problem

_MS_PER_S: Final = 1_000


class Permit:
    """Whether work may still do what others can see: taken or withdrawn, whichever comes first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_taken = False
        self._is_withdrawn = False

    def take(self) -> bool:
        """False: nobody waits for the answer any more. What follows must not block."""
        with self._lock:
            self._is_taken = not self._is_withdrawn
            return self._is_taken

    def withdraw(self) -> bool:
        """False: it was taken, so there will be an answer."""
        with self._lock:
            self._is_withdrawn = not self._is_taken
            return self._is_withdrawn

    @property
    def is_withdrawn(self) -> bool:
        return self._is_withdrawn


class Threads:
    """Some threads. `do` is called from one event loop.

    Args:
        places_max: most pieces of work that run or wait for a thread, those given up included.
    """

    def __init__(self, name: str, threads: int, places_max: int) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._places = asyncio.Semaphore(places_max)
        self.held = 0
        """Places that are taken now."""

    async def do[T](self, work: Callable[[Permit], T], limit_ms: int) -> T:
        """Do it, so that the rest goes on; not longer than the limit.

        What has taken its permit as the time runs out is waited for: it is on record.

        Raises:
            ProblemError: it took longer.
        """
        permit = Permit()
        doing: asyncio.Future[T] | None = None
        try:
            async with asyncio.timeout(limit_ms / _MS_PER_S):
                await self._places.acquire()
                doing = self._begin(work, permit)
                return await asyncio.shield(doing)
        except TimeoutError as error:
            if doing is not None and not permit.withdraw():
                return await doing
            raise problem(
                Reason.ANSWER_TIMEOUT, f"features or model took longer than {limit_ms} ms"
            ) from error
        except asyncio.CancelledError:
            permit.withdraw()
            raise

    def _begin[T](self, work: Callable[[Permit], T], permit: Permit) -> asyncio.Future[T]:
        def run() -> T:
            if permit.is_withdrawn:
                raise problem(Reason.ANSWER_TIMEOUT, "given up before it began")
            return work(permit)

        self.held += 1
        doing = asyncio.get_running_loop().run_in_executor(self._executor, run)
        doing.add_done_callback(self._end)
        return doing

    def _end(self, done: asyncio.Future[Any]) -> None:
        self.held -= 1
        self._places.release()
        _forgive(done)

    def close(self) -> None:
        """Blocks until what is under way has ended."""
        self._executor.shutdown()


class Reloads[T]:
    """Looks at the registry that somebody asked for, one at a time. `ask` is called from one loop.

    What was asked for while a look is under way shares the next one, since that look may have
    missed what the caller wants seen. So at most one is under way and one waits.

    Args:
        look: what is done; may block.
    """

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._executor = ThreadPoolExecutor(1, "reload")
        self._lock = Lock()
        self._next: asyncio.Future[T] | None = None
        """Not begun yet."""
        self.waiting = 0
        """Callers who joined what has not begun yet."""

    async def ask(self, limit_ms: int) -> T:
        """What a look that began after this call came to.

        Raises:
            ProblemError: it takes longer than the limit; it goes on all the same.
        """
        try:
            async with asyncio.timeout(limit_ms / _MS_PER_S):
                return await asyncio.shield(self._join())
        except TimeoutError as error:
            detail = f"the look takes longer than {limit_ms} ms and goes on; GET /models shows"
            raise problem(Reason.RELOAD_TIMEOUT, f"{detail} what came of it") from error

    def _join(self) -> asyncio.Future[T]:
        with self._lock:
            self.waiting += 1
            if self._next is None:
                loop = asyncio.get_running_loop()
                self._next = loop.run_in_executor(self._executor, self._run)
                self._next.add_done_callback(_forgive)
            return self._next

    def _run(self) -> T:
        with self._lock:  # From here on nobody joins.
            self._next = None
            self.waiting = 0
        return self._look()

    def close(self) -> None:
        """Blocks until what is under way has ended."""
        self._executor.shutdown()


def _forgive(done: asyncio.Future[Any]) -> None:
    """Else asyncio complains of what failed after it was given up."""
    if not done.cancelled():
        done.exception()
