"""One seeded run: a scheduler that lets processes, clients, time and misfortune take turns.

A step is one choice of the scheduler. All chance comes from one generator, all time from the
scheduler, everything happens in one thread: so a run is a function of its seed, its number of
steps and the code. A process that is struck in the middle of a turn stands still while the
scheduler takes further steps inside that very call; then it goes on.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import accumulate
from random import Random
from typing import Final

from msgspec.structs import replace

from services.runtime.errors import UnknownOutcomeError
from services.runtime.memory_log import MemoryLog, TransactionState
from services.tools.proof.vopr.client import Client
from services.tools.proof.vopr.market import opening_controls
from services.tools.proof.vopr.outsiders import Outsiders
from services.tools.proof.vopr.parts import FOLD_ROOMS, RECORDER, Parts
from services.tools.proof.vopr.process import Process, RecorderProcess, RoomProcess
from services.tools.proof.vopr.stage import (
    Conditions,
    Finding,
    Stage,
    calm_conditions,
    crash,
    draw_conditions,
)
from services.tools.proof.vopr.strikes import Strikes
from services.tools.proof.vopr.taps import Killed, Step, When

SESSION_TIMEOUT_MS: Final = 6_000
TRANSACTION_TIMEOUT_MS: Final = 3_000
DATABASE_SESSION_TIMEOUT_MS: Final = 30_000
CONDITIONS_STEPS: Final = 2_500
"""After so many steps the conditions change."""
DEPTH_MAX: Final = 3
"""Processes that stand still at the same time."""
PROCESSES_MAX: Final = 12
DRAIN_ROUNDS_MAX: Final = 1_000
TURNS_ON_END_MAX: Final = 50
_PART_SETTLED: Final = 0.5
"""Share of markers that arrive in one place alone."""
_WORKED: Final = ("JOINED", "COMMITTED", "RECORDED")


class World:
    """One run."""

    def __init__(
        self, seed: int, steps_max: int, parts: Parts, conditions: Conditions | None = None
    ) -> None:
        self.seed = seed
        self.steps_max = steps_max
        self.steps = 0
        self.trace: list[str] = []
        self.happened: Counter[str] = Counter()
        """How often each kind of thing happened."""
        self.met: Counter[str] = Counter()
        """How often each misfortune came, by kind and place: `kill before commit`."""
        random = self._random = Random(seed)
        drawn = draw_conditions(random)
        self.conditions = conditions or drawn
        self.stage = Stage(parts, random, self.conditions)
        if not self.conditions.is_cold:
            self.stage.go_on_from(*opened_log(parts))
        self.client = Client(random, self.stage.log, self.stage.codec, self.conditions.tickers)
        if self.conditions.is_cold:
            self.client.planned.extend(opening_controls())
        self.processes: list[Process] = []
        self.outsiders = Outsiders(random, self.stage.log, self.client)
        self._gone_ms: dict[tuple[str, str], int] = {}
        """Since when a member, by room and id, has sent no heartbeat."""
        self._open_sessions: list[tuple[int, RecorderProcess]] = []
        """Sessions of dead recorders that the database has not noticed, and since when."""
        self._depth = 0
        self._is_stormy = True
        self._strikes = Strikes(random, self.conditions)
        self._choices, self._weights = self._weigh()
        for room in FOLD_ROOMS:
            self._start(room, "0")
        self._start(RECORDER, "0")

    def _weigh(self) -> tuple[list[Callable[[], str]], list[float]]:
        conditions = self.conditions
        instances = 1.0 if conditions.instances_max > 1 or conditions.has_twins else 0.0
        database = 1.0 if conditions.has_database_faults else 0.0
        strangers = 1.0 if conditions.has_strangers else 0.0
        table: tuple[tuple[Callable[[], str], float], ...] = (
            (self._turn, 60.0),
            (self.client.act, 11.0 * conditions.busy_clients),
            (self.client.lose_acknowledgement, 0.6),
            (self.client.resend, 0.8),
            (self._read_feeds, 2.0),
            (self._let_time_pass, 8.0),
            (self._settle, 12.0 if conditions.defer_markers else 0.0),
            (self._kill, 0.7),
            (self._restart, 4.0),
            (self._start_another, 0.8 * instances),
            (self._evict, 0.3),
            (self._stop, 0.4),
            (self.outsiders.arrive, 0.8),
            (self._break_database, 1.0 * database),
            (self._mend_database, 1.5 * database),
            (self._damage_snapshot, 1.4 * database),
            (self.outsiders.come, 2.0 * strangers),
        )
        rows = [row for row in table if row[1]]
        return [choice for choice, _ in rows], list(accumulate(weight for _, weight in rows))

    # --- steps

    def run(self) -> None:
        """All the steps.

        Raises:
            Finding: something that must never happen did.
        """
        while self.steps < self.steps_max:
            self._step()

    def _step(self) -> None:
        self.steps += 1
        if self.steps % CONDITIONS_STEPS == 0:
            self._change_conditions()
        random = self._random.random
        self.stage.now_ms += int(random() * 4)
        choice = self._choices[bisect(self._weights, random() * self._weights[-1])]
        said = choice()
        self.trace.append(f"{self.steps} {self.stage.now_ms} {said}")

    def _change_conditions(self) -> None:
        """A long run goes through conditions of every kind, one after the other.

        Without snapshots each restart would fold all of an ever longer log, so there are some.
        """
        drawn = draw_conditions(self._random)
        self.conditions = self.stage.conditions = replace(
            drawn,
            defer_markers=self.conditions.defer_markers,
            snapshot_interval_s=min(drawn.snapshot_interval_s, 1.0),
        )
        self.stage.database.is_away = False
        self._strikes = Strikes(self._random, self.conditions)
        self._choices, self._weights = self._weigh()
        self.trace.append(f"{self.steps} {self.conditions}")

    def _turn(self) -> str:
        now_ms = self.stage.now_ms
        able = [
            process
            for process in self.processes
            if process.is_alive and not process.is_busy and process.resting_until_ms <= now_ms
        ]
        if not able:
            return self._let_time_pass()
        return self._let_work(self._pick(able))

    def _let_work(self, process: Process) -> str:
        try:
            said = process.turn()
        except Finding:
            raise
        except Exception as error:
            raise crash(error, process.name) from error
        if not process.is_alive:
            self._bury(process)
        return f"{process.name} {said}"

    def _read_feeds(self) -> str:
        return f"read {self.client.read()}"

    def _let_time_pass(self) -> str:
        drawn = self._random.random()
        if drawn < 0.75:
            span_ms = 5 + int(drawn * 80)
        elif drawn < 0.95:
            span_ms = 100 + int((drawn - 0.75) * 2_500)
        else:
            span_ms = TRANSACTION_TIMEOUT_MS + 50 if drawn < 0.98 else SESSION_TIMEOUT_MS + 50
        self._advance(span_ms)
        return f"time {span_ms}"

    def _advance(self, span_ms: int) -> None:
        now_ms = self.stage.now_ms = self.stage.now_ms + span_ms
        self.stage.log.expire_transactions(TRANSACTION_TIMEOUT_MS)
        for (room, member_id), since_ms in list(self._gone_ms.items()):
            if now_ms - since_ms >= SESSION_TIMEOUT_MS:
                del self._gone_ms[room, member_id]
                self.stage.log.group(room).leave(member_id)
        while self._open_sessions and (
            now_ms - self._open_sessions[0][0] >= DATABASE_SESSION_TIMEOUT_MS
        ):
            self._end_session(self._open_sessions.pop(0)[1])

    def _settle(self) -> str:
        """Markers arrive: all of a transaction's, or one, so that for a while a part is seen."""
        decided = [
            transaction
            for transaction in self.stage.log.undecided()
            if transaction.state is not TransactionState.OPEN
        ]
        if not decided:
            return "nothing to settle"
        transaction = self._pick(decided)
        transactional_id, unmarked = transaction.transactional_id, transaction.unmarked
        if unmarked and self._random.random() < _PART_SETTLED:
            place = self._pick(unmarked)
            self.stage.log.mark(transactional_id, place)
            where = place if isinstance(place, str) else f"{place.topic}/{place.partition}"
            return f"settle {transactional_id} in {where}"
        self.stage.log.settle(transactional_id)
        return f"settle {transactional_id}"

    # --- processes that come and go

    def _start(self, room: str, instance: str) -> str:
        stage = self.stage
        process: Process = (
            RecorderProcess(stage, self, instance)
            if room == RECORDER
            else RoomProcess(stage, self, room, instance)
        )
        self.processes.append(process)
        return f"start {process.name}"

    def _kill(self) -> str:
        alive = [p for p in self.processes if p.is_alive and not p.is_doomed]
        if not alive:
            return "nobody to kill"
        process = self._pick(alive)
        if process.is_busy:
            process.is_doomed = True
        else:
            process.is_alive = False
            self._bury(process)
        return f"kill {process.name}"

    def _bury(self, process: Process) -> None:
        """What the others notice of a death: no heartbeats, and some time later the lock."""
        self.processes.remove(process)
        self._fall_silent(process)
        if isinstance(process, RecorderProcess):
            if self._random.random() < 0.8:
                self._end_session(process)
            else:
                self._open_sessions.append((self.stage.now_ms, process))

    def _fall_silent(self, process: Process) -> None:
        """Its member sends no heartbeats any more, be it still one or not."""
        if process.consumer is not None:
            member = process.room, process.consumer.member_id
            self._gone_ms.setdefault(member, self.stage.now_ms)

    def _end_session(self, process: RecorderProcess) -> None:
        if process.ledger is not None:
            process.ledger.close()

    def _restart(self) -> str:
        """The supervisor's work: what died starts again under its name."""
        for room in (*FOLD_ROOMS, RECORDER):
            if not any(p.room == room and not p.is_doomed for p in self.processes):
                return self._start(room, "0")
        return "nobody to restart"

    def _start_another(self) -> str:
        if len(self.processes) >= PROCESSES_MAX:
            return "no place for another"
        room = self._pick((*FOLD_ROOMS, RECORDER))
        instance = str(int(self._random.random() * self.conditions.instances_max))
        is_taken = any(p.room == room and p.instance == instance for p in self.processes)
        if is_taken and not self.conditions.has_twins:
            return "its name is taken"
        return self._start(room, instance)

    def _stop(self) -> str:
        able = [p for p in self.processes if p.is_alive and not p.is_busy]
        if not able:
            return "nobody to stop"
        process = self._pick(able)
        process.is_busy = True
        with suppress(Killed):
            process.stop()
        process.is_alive = False
        self._bury(process)
        return f"stop {process.name}"

    def _evict(self) -> str:
        """The group loses sight of a member that lives: its heartbeats did not get through."""
        log = self.stage.log
        members = [(room, member) for room in FOLD_ROOMS for member in log.group(room).members]
        if not members:
            return "nobody to evict"
        room, member_id = self._pick(members)
        log.group(room).leave(member_id)
        self.met["evict"] += 1
        return f"evict {member_id} from {room}"

    # --- strikes

    def strike_soon(self, step: Step) -> bool:
        """Whether this step is the one to strike at."""
        return self._strikes.is_due(step) and self._is_stormy

    def strike(self, process: Process, step: Step, when: When) -> None:
        """Hit a process at a step of its turn."""
        self._strikes.draw()
        kind = self._strikes.kind()
        self.trace.append(f"{self.steps} {kind} {process.name} {when} {step}")
        self.happened[kind] += 1
        self.met[f"{kind} {when} {step}"] += 1
        if kind == "kill":
            raise Killed
        if kind == "nap":
            self._stand_still(process, 1 + int(self._random.random() * 8), 0)
        elif kind == "freeze":
            leap_ms = SESSION_TIMEOUT_MS if self._random.random() < 0.7 else TRANSACTION_TIMEOUT_MS
            self._stand_still(process, 5 + int(self._random.random() * 35), leap_ms + 50)
        else:
            self._err(process, step, when)

    def _err(self, process: Process, step: Step, when: When) -> None:
        error = self._strikes.error(process.room, step, when)
        if error is None:
            return
        is_under_way = error is UnknownOutcomeError and when == "before"
        if is_under_way and isinstance(process, RoomProcess) and self._random.random() < 0.6:
            self.outsiders.lose_commit(process)
            self.met["commit under way"] += 1
        self.met[error.__name__] += 1
        raise error(f"{step} failed for a while; try again")

    def _stand_still(self, process: Process, steps: int, leap_ms: int) -> None:
        """Others go on while a process stands still; after a leap its session is over."""
        if self._depth >= DEPTH_MAX or not self._is_stormy:
            return
        if leap_ms:
            self._fall_silent(process)
            if isinstance(process, RecorderProcess) and self._random.random() < 0.5:
                self._end_session(process)
            self._advance(leap_ms)
        self._depth += 1
        for _ in range(steps):
            if self.steps < self.steps_max:
                self._step()
        self._depth -= 1
        if process.consumer is not None:
            self._gone_ms.pop((process.room, process.consumer.member_id), None)

    def wait(self, process: Process, seconds: float) -> None:
        """A process waits in the middle of a takeover."""
        until_ms = self.stage.now_ms + int(seconds * 1_000)
        self._stand_still(process, 1 + int(self._random.random() * 3), 0)
        self._advance(max(until_ms - self.stage.now_ms, 0))
        if not self._is_stormy:
            self.stage.log.settle()

    # --- the database, and strangers

    def _break_database(self) -> str:
        database = self.stage.database
        if self._random.random() < 0.3:
            if database.holder is not None:
                database.holder.close()
                self.met["database ends a session"] += 1
            return "the recorder's session ends"
        database.is_away = True
        self.met["database away"] += 1
        return "the database is away"

    def _mend_database(self) -> str:
        self.stage.database.is_away = False
        return "the database is here"

    def _damage_snapshot(self) -> str:
        """And often a death, so that somebody has to restore from what is left."""
        said, room = self.stage.snapshots.damage(self._random)
        self.met[f"snapshot {said.partition(':')[0]}"] += 1
        if self._random.random() < 0.8:
            for process in [p for p in self.processes if p.room == room and not p.is_busy]:
                process.is_alive = False
                self._bury(process)
                self._start(room, process.instance)
        return said

    # --- the end

    def come_to_rest(self) -> None:
        """Mend everything, then work until nothing is left to do.

        Raises:
            Finding: it does not come to rest.
        """
        self._is_stormy = False
        self.stage.database.is_away = False
        self.outsiders.end_all()
        for process in [p for p in self.processes if not p.is_alive or p.is_doomed]:
            self._bury(process)
        for _, process in self._open_sessions:
            self._end_session(process)
        self._keep_one_of_each()
        self.stage.now_ms += SESSION_TIMEOUT_MS
        self._advance(0)
        for _ in range(DRAIN_ROUNDS_MAX):
            if self._is_at_rest():
                self.client.read()
                return
            self._work_each()
        raise Finding("rest", f"work is left after {DRAIN_ROUNDS_MAX} rounds without any fault")

    def _keep_one_of_each(self) -> None:
        """Of twins the one that started last; and at least one process a room."""
        newest = {(p.room, p.instance): p for p in self.processes}
        for process in [p for p in self.processes if newest[p.room, p.instance] is not p]:
            self._bury(process)
        while not self._restart().startswith("nobody"):
            pass

    def _work_each(self) -> None:
        while self.client.planned:
            self.client.act()
        while self.client.unacknowledged:
            self.client.resend()
        for process in list(self.processes):
            for _ in range(TURNS_ON_END_MAX):
                said = self._let_work(process)
                self.stage.log.settle()
                if not said.endswith(_WORKED):
                    break
        self._advance(300)
        self.client.read()

    def _is_at_rest(self) -> bool:
        stage, log = self.stage, self.stage.log
        if self.client.planned or self.client.unacknowledged or log.undecided():
            return False
        return not stage.behind()

    def _pick[T](self, of: "list[T] | tuple[T, ...]") -> T:
        return of[int(self._random.random() * len(of))]


def opened_log(parts: Parts) -> tuple[MemoryLog, int]:
    """The log of an exchange that is open, and its time: made once a process, by the rooms."""
    return _opened(Parts(risk=parts.reference_risk, reference_risk=parts.reference_risk))


@cache
def _opened(parts: Parts) -> tuple[MemoryLog, int]:
    world = World(0, 0, parts, calm_conditions())
    world.come_to_rest()
    return world.stage.log, world.stage.now_ms
