"""Simulated processes: a room's loop, or the recorder, between a scheduler that may stop it.

A process works one turn at a time. At each step of its turn the scheduler may strike: the process
dies there, is told of an error, or stands still while others go on; then it wakes as a zombie that
knows nothing of it.
"""

from abc import ABC, abstractmethod
from functools import partial
from typing import Protocol

from pydantic import SecretStr

from services.recorder.service import Recorder
from services.recorder.service import Turn as RecorderTurn
from services.recorder.settings import RecorderSettings
from services.runtime.loop import LoopPlan, LoopPorts
from services.runtime.memory import MemoryConsumer, MemoryReader
from services.runtime.memory_group import GroupToken
from services.runtime.ports import Consumer, Producer, Snapshot
from services.runtime.restore import past_markers
from services.tools.proof.vopr.ledger import MemoryLedger, MemoryTail
from services.tools.proof.vopr.parts import (
    INPUTS,
    RECORDER,
    LateProducer,
    make_consumer,
    make_producer,
)
from services.tools.proof.vopr.stage import Stage
from services.tools.proof.vopr.taps import (
    Killed,
    Step,
    TappedConsumer,
    TappedFolds,
    TappedProducer,
    TappedReader,
    When,
)


class Scheduler(Protocol):
    """Who lets processes work."""

    def strike_soon(self, step: Step) -> bool:
        """Whether this step is the one to strike at. Asked at every step, so cheap."""

    def strike(self, process: "Process", step: Step, when: When) -> None:
        """May raise, or let others go on for a while."""

    def wait(self, process: "Process", seconds: float) -> None:
        """The process waits in the middle of a turn."""


class Process(ABC):
    """One process, from its start to its death."""

    def __init__(self, stage: Stage, scheduler: Scheduler, room: str, instance: str) -> None:
        self.stage = stage
        self.scheduler = scheduler
        self.room = room
        self.instance = instance
        self.name = f"{room}-{instance}"
        self.is_alive = True
        self.is_busy = False
        """In the middle of a turn, standing still."""
        self.is_doomed = False
        """Killed while it stood still: it dies as soon as it moves."""
        self.is_stopping = False
        self.consumer: MemoryConsumer | None = None
        """The member of a group that it last was; a recorder is in none."""
        self.resting_until_ms = 0
        self._in_poll = False

    # --- taps.Tap

    def at(self, step: Step, when: When) -> None:
        """A step of the turn."""
        if step == "poll":
            self._in_poll = when == "before"
        if self.scheduler.strike_soon(step):
            self.scheduler.strike(self, step, when)
        if self.is_doomed:
            raise Killed

    # --- restore.Pacer

    def now_s(self) -> float:
        """The log's time is the process's time."""
        return self.stage.now_ms / 1_000

    def wait(self, seconds: float) -> None:
        """At the end of a turn: no turn before. In the middle of one: others go on meanwhile."""
        if self._in_poll:
            self.scheduler.wait(self, seconds)
            if self.is_doomed:
                raise Killed
        else:
            self.resting_until_ms = self.stage.now_ms + int(seconds * 1_000)

    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self.is_stopping

    # --- what the scheduler calls

    def turn(self) -> str:
        """One turn; says what it was."""
        self.is_busy, self._in_poll = True, False
        try:
            return self.work()
        except Killed:
            self.is_alive = False
            return "killed"
        finally:
            self.is_busy = False

    @abstractmethod
    def work(self) -> str:
        """The turn itself."""

    @abstractmethod
    def stop(self) -> None:
        """Stop as asked: what is due is finished."""


class RoomProcess(Process):
    """A room of folds."""

    def __init__(self, stage: Stage, scheduler: Scheduler, room: str, instance: str) -> None:
        super().__init__(stage, scheduler, room, instance)
        self.producer: LateProducer | None = None
        self._waiting: dict[tuple[str, int], Snapshot] = {}
        self._has_initialised = False
        parts, conditions = stage.parts, stage.conditions
        folds = stage.folds[room]
        factory = TappedFolds(folds, self)
        store = stage.snapshots if folds.stateful else None
        reader = TappedReader(MemoryReader(stage.log), self)
        plan = LoopPlan(
            room,
            INPUTS[room],
            batch_records_max=conditions.batch_records_max,
            outputs_max=conditions.outputs_max,
            poll_timeout_ms=0,
            snapshot_interval_s=conditions.snapshot_interval_s,
        )
        restorer = parts.restorer(room, factory, reader, store, stage.telemetry, self)
        ports = LoopPorts(
            self._consumer,
            self._producer,
            restorer,
            self._offer if folds.stateful else None,
            partial(past_markers, reader),
        )
        self.loop = parts.loop(plan, ports, factory, stage.telemetry, self)

    def at(self, step: Step, when: When) -> None:
        """A step; the order of a takeover is looked at on the way."""
        if step == "poll":
            self._has_initialised = False
        elif step == "initialise" and when == "after":
            self._has_initialised = True
        elif step == "committed" and when == "before" and not self._has_initialised:
            self.stage.fail(
                "takeover", f"{self.name} reads committed offsets before it took over its ids"
            )
        super().at(step, when)

    def _consumer(self) -> Consumer[GroupToken]:
        stage = self.stage
        self.consumer = make_consumer(stage.parts, stage.log, self.room, self.instance)
        return TappedConsumer(self.consumer, self)

    def _producer(self) -> Producer[GroupToken]:
        stage = self.stage
        self.producer = make_producer(stage.parts, stage.log, self.room, self.instance)
        return TappedProducer(self.producer, self)

    def _offer(self, snapshot: Snapshot) -> None:
        self.at("snapshot", "before")
        self.stage.check_snapshot(snapshot)
        self._waiting[snapshot.topic, snapshot.partition] = snapshot
        if self.stage.random.random() < 0.5:
            self._store()
        self.at("snapshot", "after")

    def _store(self) -> None:
        """What the background writer does: a store that is away loses the snapshot."""
        for snapshot in self._waiting.values():
            if not self.stage.database.is_away:
                self.stage.snapshots.put(snapshot)
        self._waiting = {}

    def work(self) -> str:
        """A turn of the loop."""
        self._store()
        return self.loop.run_once().name

    def stop(self) -> None:
        """The loop's own clean end."""
        self.is_stopping = True
        self.loop.run()
        self._store()


class RecorderProcess(Process):
    """The recorder."""

    def __init__(self, stage: Stage, scheduler: Scheduler, instance: str) -> None:
        super().__init__(stage, scheduler, RECORDER, instance)
        self.ledger: MemoryLedger | None = None
        settings = RecorderSettings.model_construct(
            instance=instance,
            pg_dsn=SecretStr("in memory"),
            batch_records_max=stage.conditions.batch_records_max * 3,
            flush_interval_ms=1,
            session_timeout_s=30,
        )
        self.recorder = Recorder(
            settings,
            stage.telemetry,
            self,
            load_codec=lambda: stage.codec,
            open_ledger=self._open_ledger,
            open_tail=lambda: MemoryTail(stage.log, stage.random, self),
        )

    def _open_ledger(self) -> MemoryLedger:
        self.ledger = self.stage.parts.ledger(self.stage.database, self)
        return self.ledger

    def work(self) -> str:
        """A turn of the recorder."""
        turn: RecorderTurn = self.recorder.run_once()
        return turn.name

    def stop(self) -> None:
        """The recorder's own clean end."""
        self.is_stopping = True
        self.recorder.run()
