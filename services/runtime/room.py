"""From a room's folds to its process: settings, telemetry, signals, adapters, loop, exit code."""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import Event
from types import FrameType
from typing import Final, Protocol

from services.runtime.background import BackgroundSnapshots
from services.runtime.client_errors import ClientErrors
from services.runtime.cluster import hold_own_cluster
from services.runtime.errors import ConfigurationError, OperatingError, RetriableError
from services.runtime.fold import FoldMaker, OnUndecodable
from services.runtime.follower import Follower, HandedOver
from services.runtime.kafka import GroupMetadata, KafkaConnection, KafkaConsumer, KafkaProducer
from services.runtime.kafka_admin import check_topics
from services.runtime.kafka_reader import KafkaReader
from services.runtime.kafka_tail import KafkaGroupTail
from services.runtime.log_lines import configure_logging
from services.runtime.loop import Loop, LoopPlan, LoopPorts, backoff_s
from services.runtime.ports import FoldFactory, Record, Snapshot, Snapshots, TopicPartition
from services.runtime.registry import load_codec
from services.runtime.restore import (
    FoldRestorer,
    RestoreInterruptedError,
    Restorer,
    past_markers,
)
from services.runtime.settings import RoomSettings, read_settings
from services.runtime.standby import Pair
from services.runtime.telemetry import (
    RECORDS_UNDECODABLE,
    Metric,
    Telemetry,
    TelemetryServer,
)
from services.runtime.traces import RoomTraces, trace_id_of
from services.runtime.tracing import hold_room_traces
from services.wire.codec import UndecodableError
from services.wire.topics import TOPICS, Topic

EXIT_OK: Final = 0
EXIT_FATAL: Final = 1
EXIT_ENVIRONMENT: Final = 2

_LAST_SNAPSHOTS_WAIT_S: Final = 5.0
_SWITCH_S: Final = 0.000_5
"""How long a thread may keep others from the interpreter: a tenth of Python's default. A scrape
gives it up a dozen times, and a model is loaded beside requests; each would wait 5 ms for its
turn in a room at full load."""


class DeploymentStore(Snapshots, Protocol):
    """What a room keeps outside the log: snapshots, and what its topics and cluster were."""

    def remember_cluster(self, cluster_id: str) -> str:
        """As `cluster.ClusterMemory.remember_cluster`."""


type StoreOpener = Callable[[RoomSettings], DeploymentStore | None]
"""Opens a deployment's store; `snapshots.open_postgres` is one."""


class ProcessPacer:
    """`restore.Pacer` of a process: the system's clock, and SIGTERM and SIGINT as the stop."""

    def __init__(self) -> None:
        self._stop = Event()

    def install(self) -> None:
        """Take the two signals. Main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop.set()

    def now_s(self) -> float:
        """Monotonic."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep, unless stopped."""
        self._stop.wait(seconds)

    def stopping(self) -> bool:
        """Whether a signal came."""
        return self._stop.is_set()


@dataclass(frozen=True)
class _Room:
    """What one process is made of."""

    name: str
    make_folds: FoldMaker
    inputs: Sequence[Topic]
    open_store: StoreOpener | None
    settings: RoomSettings
    telemetry: Telemetry
    pacer: ProcessPacer


def run_room(
    name: str,
    make_folds: FoldMaker,
    inputs: Sequence[Topic],
    open_store: StoreOpener | None = None,
) -> int:
    """Run a room of folds until SIGTERM or SIGINT; returns the process's exit code.

    Called by a room's `__main__`, in the main thread. 0: stopped as asked. 1: an operating error
    that a person has to act on; the last log line says which. 2: the environment is wrong; a line
    on standard error says how. A broken invariant is raised, with its traceback.
    """
    try:
        refuse_optimised()
        settings = read_settings(RoomSettings)
    except ConfigurationError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_ENVIRONMENT
    configure_logging(settings.log_level)
    telemetry = Telemetry(name, settings.instance)
    telemetry.expect(
        [topic.name for topic in inputs], [topic.name for topic in TOPICS if name in topic.writers]
    )
    pacer = ProcessPacer()
    pacer.install()
    telemetry.log.info("starting", inputs=[topic.name for topic in inputs])
    room = _Room(name, make_folds, inputs, open_store, settings, telemetry, pacer)
    try:
        with ExitStack() as resources:
            _run(room, _assemble(room, resources), resources)
    except RestoreInterruptedError:
        telemetry.log.info("stopped_before_ready")
        return EXIT_OK
    except OperatingError as error:
        telemetry.log.critical("failed", error=str(error), kind=type(error).__name__)
        return EXIT_FATAL
    except Exception:
        telemetry.log.exception("crashed")
        raise
    telemetry.log.info("stopped")
    return EXIT_OK


type Work[S] = Callable[[S, Telemetry, ProcessPacer, ExitStack], None]
"""What a process does until its pacer says to stop; what it opens goes onto the stack."""


def run_process[S: RoomSettings](
    name: str,
    settings_type: type[S],
    metrics: Sequence[Metric],
    work: Work[S],
    told: Callable[[S], Mapping[str, object]],
) -> int:
    """Run a room that is no fold until SIGTERM or SIGINT; exit codes are `run_room`'s.

    Called by a room's `__main__`, in the main thread. `told` makes what the first log line says
    of the settings.
    """
    try:
        refuse_optimised()
        settings = read_settings(settings_type)
    except ConfigurationError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_ENVIRONMENT
    configure_logging(settings.log_level)
    telemetry = Telemetry(name, settings.instance, metrics)
    pacer = ProcessPacer()
    pacer.install()
    telemetry.log.info("starting", **told(settings))
    try:
        with ExitStack() as resources:
            work(settings, telemetry, pacer, resources)
    except RestoreInterruptedError:
        telemetry.log.info("stopped_before_ready")
        return EXIT_OK
    except OperatingError as error:
        telemetry.log.critical("failed", error=str(error), kind=type(error).__name__)
        return EXIT_FATAL
    except AssertionError:
        telemetry.log.exception("invariant_broken")
        raise
    telemetry.log.info("stopped")
    return EXIT_OK


def refuse_optimised() -> None:
    """Broken invariants are asserts; `python -O` would run on over them.

    Raises:
        ConfigurationError: asserts are off.
    """
    if sys.flags.optimize:
        raise ConfigurationError("asserts are off; run without -O and PYTHONOPTIMIZE")


def serve_metrics(
    settings: RoomSettings,
    telemetry: Telemetry,
    at_end: Callable[[Callable[[], None]], object],
) -> None:
    """Answer /metrics, /health and /ready where the settings say; `at_end` gets what ends it.

    Called by each room's process, whose threads take shorter turns from then on.

    Raises:
        ConfigurationError: the port is taken.
    """
    sys.setswitchinterval(_SWITCH_S)
    if settings.metrics_port is not None:
        server = TelemetryServer(telemetry, settings.metrics_host, settings.metrics_port)
        at_end(server.close)
        telemetry.log.info("metrics", host=settings.metrics_host, port=server.port)


def connect(settings: RoomSettings, telemetry: Telemetry) -> KafkaConnection:
    """The room's cluster and deployment; what its clients say goes to its log. Asks nobody."""
    return KafkaConnection(
        settings.kafka_bootstrap,
        settings.topic_prefix,
        on_client_error=ClientErrors(telemetry),
        has_traces=settings.traces_endpoint is not None,
    )


@dataclass(frozen=True)
class _Parts:
    """What a room's process runs on."""

    connection: KafkaConnection
    reader: KafkaReader
    factory: FoldFactory
    plan: LoopPlan
    restorer: Restorer
    offer: Callable[[Snapshot], None] | None
    traces: RoomTraces | None


def _run(room: _Room, parts: _Parts, resources: ExitStack) -> None:
    """Work; with a standby's lock, first follow until it is free."""
    lock = room.settings.standby_lock
    if lock is None or not parts.factory.stateful:
        _make_loop(room, parts, parts.restorer).run()
        return
    pair = Pair(lock)
    resources.callback(pair.close)
    if pair.try_lead():
        _make_loop(room, parts, parts.restorer, pair.is_followed).run()
        return
    follower = _make_follower(room, parts)
    resources.callback(follower.close)

    def may_lead() -> bool:
        if pair.try_lead():
            return True
        pair.follow()
        return False

    if follower.run(may_lead):
        room.telemetry.log.warning("leading", cause="who worked here is gone")
        handed = HandedOver(follower, parts.restorer, parts.reader, room.telemetry, room.pacer)
        _make_loop(room, parts, handed, pair.is_followed).run()


def _make_loop(
    room: _Room,
    parts: _Parts,
    restorer: FoldRestorer,
    is_followed: Callable[[], bool] = lambda: False,
) -> Loop[GroupMetadata]:
    instance = room.settings.instance
    ports = LoopPorts(
        lambda: KafkaConsumer(parts.connection, room.name, instance),
        lambda: KafkaProducer(
            parts.connection, f"{room.name}-{instance}", outputs=_outputs(room.name)
        ),
        restorer,
        parts.offer,
        partial(past_markers, parts.reader),
        is_followed,
        parts.traces,
    )
    return Loop(parts.plan, ports, parts.factory, room.telemetry, room.pacer)


def _outputs(name: str) -> list[TopicPartition]:
    written = (topic for topic in TOPICS if name in topic.writers)
    return [TopicPartition(topic.name, n) for topic in written for n in range(topic.partitions)]


def _make_follower(room: _Room, parts: _Parts) -> Follower:
    return Follower(
        parts.plan,
        [TopicPartition(topic.name, p) for topic in room.inputs for p in range(topic.partitions)],
        KafkaGroupTail(parts.connection, room.name),
        parts.restorer,
        parts.factory,
        parts.offer,
        room.telemetry,
        room.pacer,
    )


def _assemble(room: _Room, resources: ExitStack) -> _Parts:
    settings, telemetry = room.settings, room.telemetry
    traces = hold_room_traces(room.name, settings, telemetry, resources.callback)
    serve_metrics(settings, telemetry, resources.callback)
    store = room.open_store(settings) if room.open_store else None
    pacer = room.pacer
    if store is not None:
        persist(telemetry, pacer, lambda: hold_own_cluster(settings, store, telemetry))
    codec = persist(telemetry, pacer, lambda: load_codec(settings.registry_url, 0.0))
    needed = [t for t in TOPICS if t in room.inputs or room.name in t.writers]
    bootstrap, prefix = settings.kafka_bootstrap, settings.topic_prefix
    persist(telemetry, pacer, lambda: check_topics(bootstrap, prefix, needed))
    factory = room.make_folds(codec, undecodable_reporter(telemetry))
    connection = connect(settings, telemetry)
    reader = KafkaReader(connection)
    resources.callback(reader.close)
    offer = _offer_to(store, telemetry, resources) if store and factory.stateful else None
    if store is None and factory.stateful:
        telemetry.log.warning("no_snapshots", cause="OUTCRY_PG_DSN is not set")
    plan = LoopPlan(
        room.name,
        tuple(topic.name for topic in room.inputs),
        batch_records_max=settings.batch_records_max,
        transaction_interval_s=settings.transaction_interval_ms / 1_000,
        snapshot_interval_s=settings.snapshot_interval_s,
    )
    restorer = Restorer(room.name, factory, reader, store, telemetry, room.pacer)
    return _Parts(connection, reader, factory, plan, restorer, offer, traces)


def _offer_to(
    store: Snapshots, telemetry: Telemetry, resources: ExitStack
) -> Callable[[Snapshot], None]:
    background = BackgroundSnapshots(store, telemetry)
    resources.callback(store.close)
    resources.callback(background.close, _LAST_SNAPSHOTS_WAIT_S)
    return background.offer


def persist[T](telemetry: Telemetry, pacer: ProcessPacer, ask: Callable[[], T]) -> T:
    """Ask until there is an answer: what a room stands on may still be starting.

    Raises:
        RestoreInterruptedError: it was asked to stop meanwhile.
    """
    tried = 0
    while True:
        try:
            return ask()
        except RetriableError as error:
            tried += 1
            telemetry.log.warning("waiting", error=str(error), tried=tried)
            if pacer.stopping():
                raise RestoreInterruptedError from error
            pacer.wait(backoff_s(tried))


def undecodable_reporter(telemetry: Telemetry) -> OnUndecodable:
    """Counts and logs what a fold passes over, with its position, and its trace if it has one."""

    def report(record: Record, error: UndecodableError) -> None:
        telemetry.count(RECORDS_UNDECODABLE, topic=record.topic)
        trace_id = trace_id_of(record.traceparent)
        log = telemetry.log.bind(trace_id=trace_id) if trace_id else telemetry.log
        log.warning(
            "undecodable_record",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            cause=error.cause,
            detail=error.detail,
        )

    return report
