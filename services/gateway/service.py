"""The gateway's process: from settings to a served application, and down again in order.

Up: cluster, codec, topics, producer, feeds, socket. Ready once the feeds are read to the present.
Down: new commands are refused, WebSockets are closed with a code, what is under way is answered,
then the producer's last records are confirmed.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import uvicorn

from services.door import serving
from services.door.heads import HeadLimits, bounded_http
from services.door.serving import QuietServer, run_loop, spare_collections
from services.gateway.app import build_gateway, make_app
from services.gateway.command_log import KafkaCommandLog
from services.gateway.core.read_model import FEEDS, ReadModel
from services.gateway.feeds import KafkaFeeds
from services.gateway.frames import FramedSocket
from services.gateway.key_ring import KeyRing, RingLimits
from services.gateway.key_secret import read_server_secret
from services.gateway.key_source import PostgresKeys
from services.gateway.metrics import METRICS
from services.gateway.parts import Gateway
from services.gateway.recorded_reports import PostgresReports
from services.gateway.report_snapshots import ReportSnapshots
from services.gateway.session import SERVICE_RESTART
from services.gateway.settings import GatewaySettings
from services.gateway.snapshot_keeper import SnapshotKeeper
from services.runtime.cluster import hold_own_cluster
from services.runtime.errors import ConfigurationError, OperatingError, RetriableError
from services.runtime.kafka_admin import check_topics
from services.runtime.log_lines import configure_logging
from services.runtime.loop import backoff_s
from services.runtime.registry import load_codec
from services.runtime.room import (
    EXIT_ENVIRONMENT,
    EXIT_FATAL,
    EXIT_OK,
    refuse_optimised,
    serve_metrics,
)
from services.runtime.settings import read_settings
from services.runtime.snapshots import open_postgres
from services.runtime.telemetry import Telemetry
from services.runtime.tracing import missing
from services.wire.codec import Codec
from services.wire.topics import CONTROLS, ORDERS, TICKER_PARTITIONS, Topic

if TYPE_CHECKING:
    from services.gateway.command_traces import CommandTraces

ROOM: Final = "gateway"
_READINESS_INTERVAL_S: Final = 0.25
_GOODBYE_S: Final = 1.0
"""How long clients may take to read that their WebSocket closes."""
_MS_PER_S: Final = 1_000

# Transaction markers take offsets too, so the tail must be longer than the trades wanted.
_TAIL_FACTOR: Final = 4


def run() -> int:
    """Serve until SIGTERM or SIGINT; returns the process's exit code, as `run_room` does."""
    try:
        refuse_optimised()
        settings = read_settings(GatewaySettings)
    except ConfigurationError as error:
        sys.stderr.write(f"{ROOM}: {error}\n")
        return EXIT_ENVIRONMENT
    configure_logging(settings.log_level)
    telemetry = Telemetry(ROOM, settings.instance, METRICS)
    try:
        run_loop(_run_until_signal(settings, telemetry))
    except OperatingError as error:
        telemetry.log.critical("failed", error=str(error), kind=type(error).__name__)
        return EXIT_FATAL
    except AssertionError:
        telemetry.log.exception("invariant_broken")
        raise
    telemetry.log.info("stopped")
    return EXIT_OK


async def _run_until_signal(settings: GatewaySettings, telemetry: Telemetry) -> None:
    service = Service(settings, telemetry)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    await service.run()


class Service:
    """One gateway on one event loop."""

    def __init__(self, settings: GatewaySettings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._was_ready = False
        self.port = 0
        """The port served, once it is; 0 before."""

    def stop(self) -> None:
        """Begin to stop; `run` returns when done."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until stopped.

        Raises:
            OperatingError: it can't go on, and a person may have to act.
        """
        async with AsyncExitStack() as resources:
            gateway = await self._assemble(resources)
            if gateway is not None:
                await self.serve(gateway)
        if self._failure is not None:
            raise self._failure

    # --- up

    async def _assemble(self, resources: AsyncExitStack) -> Gateway | None:
        """None: stopped before there was anything to serve."""
        settings, telemetry = self._settings, self._telemetry
        telemetry.log.info("starting", feeds=[feed.name for feed in FEEDS])
        if settings.gateway_access == "open":
            telemetry.log.warning("access_open", host=settings.gateway_host)
        serve_metrics(settings, telemetry, resources.callback)
        traces = self._traces(resources)
        ring = self._ring(resources)  # first: what it refuses needs nobody else to be seen
        if await self._persist(partial(_truly, self._hold_cluster)) is None:
            return None
        codec = await self._persist(lambda: load_codec(settings.registry_url))
        if codec is None or await self._persist(partial(_truly, self._check_topics)) is None:
            return None
        log = self._log_of(ORDERS, resources)
        model = self._model(codec)
        reports = self._reports_before(codec)
        feeds = KafkaFeeds(
            settings.kafka_bootstrap,
            settings.topic_prefix,
            model,
            _trades_tail(settings),
            telemetry,
            self._fail,
            reports,
        )
        resources.push_async_callback(asyncio.to_thread, feeds.close)
        controls = self._log_of(CONTROLS, resources)
        gateway = build_gateway(
            settings, model, log, telemetry, controls=controls, ring=ring, traces=traces
        )
        for start in (log.start, controls.start, feeds.start):
            if await self._persist(partial(_truly, start)) is None:
                return None
        if ring is not None:
            await self._watch_keys(ring, gateway, resources)
        if reports is not None:
            keeper = SnapshotKeeper(reports, settings, telemetry)
            keeper.start()
            resources.push_async_callback(asyncio.to_thread, keeper.close)
        return gateway

    def _log_of(self, topic: Topic, resources: AsyncExitStack) -> KafkaCommandLog:
        settings = self._settings
        log = KafkaCommandLog(
            settings.kafka_bootstrap,
            settings.topic_prefix + topic.name,
            settings.gateway_append_timeout_ms,
            self._telemetry,
            self._fail,
        )
        resources.push_async_callback(asyncio.to_thread, log.close)
        return log

    def _traces(self, resources: AsyncExitStack) -> "CommandTraces | None":
        """Traces of commands; None: nobody wants them.

        Raises:
            ConfigurationError: they are wanted, and OpenTelemetry is not installed.
        """
        settings = self._settings
        if settings.traces_endpoint is None:
            return None
        try:
            # Heavy, and not everywhere installed.
            from services.gateway.command_traces import CommandTraces  # noqa: PLC0415
            from services.runtime import spans  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise missing(error) from error
        target = spans.exporter(settings.traces_endpoint)
        provider = spans.make_provider(
            ROOM, settings.instance, target, settings.gateway_traces_ratio
        )
        traces = CommandTraces(provider)
        resources.push_async_callback(asyncio.to_thread, traces.close)
        self._telemetry.log.info("traces", endpoint=settings.traces_endpoint)
        return traces

    def _ring(self, resources: AsyncExitStack) -> KeyRing | None:
        """The keys; None where access is open and there is no database of them.

        Raises:
            ConfigurationError: access needs keys, and a setting of theirs is missing.
        """
        settings = self._settings
        path = settings.gateway_keys_secret_file
        if settings.pg_dsn is None or path is None:
            if settings.gateway_access == "open":
                return None
            missing = "OUTCRY_PG_DSN" if path is not None else "OUTCRY_GATEWAY_KEYS_SECRET_FILE"
            raise ConfigurationError(
                f"access needs keys and {missing} is not set; set it, or on loopback"
                " OUTCRY_GATEWAY_ACCESS=open"
            )
        ring = KeyRing(
            PostgresKeys(settings.pg_dsn.get_secret_value(), settings.deployment),
            read_server_secret(path),
            RingLimits(
                settings.gateway_keys_refresh_ms,
                settings.gateway_keys_stale_ms_max,
                settings.gateway_keys_max,
            ),
            self._telemetry,
        )
        resources.push_async_callback(asyncio.to_thread, ring.close)
        return ring

    async def _watch_keys(self, ring: KeyRing, gateway: Gateway, resources: AsyncExitStack) -> None:
        """Know the keys before the first request, and every change of them from then on."""
        await ring.refresh()

        async def watch() -> None:
            try:
                await ring.keep_fresh(gateway.entry.close_ended)
            except Exception as error:  # noqa: BLE001 - whatever it is ends the process, loudly
                self._fail(error)

        resources.push_async_callback(_end, asyncio.create_task(watch()))

    def _model(self, codec: Codec) -> ReadModel:
        settings = self._settings
        return ReadModel(
            codec,
            ended_orders_max=settings.gateway_ended_orders_max,
            submitted_max=10 * settings.gateway_requests_max,
            trades_kept=settings.gateway_trades_kept,
            candles_kept=settings.gateway_candles_kept,
            fills_kept=settings.gateway_fills_kept,
            resumable=settings.gateway_resumable,
            books_kept=settings.gateway_books_kept,
        )

    def _reports_before(self, codec: Codec) -> PostgresReports | None:
        settings = self._settings
        store = open_postgres(settings)
        if settings.pg_dsn is None or store is None:
            return None
        return PostgresReports(
            settings.pg_dsn.get_secret_value(),
            settings.deployment,
            codec,
            settings.gateway_reports_tail,
            settings.gateway_recorded_timeout_ms,
            self._telemetry,
            ReportSnapshots(store, codec, self._telemetry),
        )

    def _hold_cluster(self) -> None:
        store = open_postgres(self._settings)
        if store is not None:
            hold_own_cluster(self._settings, store, self._telemetry)

    def _check_topics(self) -> None:
        check_topics(self._settings.kafka_bootstrap, self._settings.topic_prefix, (ORDERS, *FEEDS))

    async def _persist[T](self, ask: Callable[[], T]) -> T | None:
        """Ask until there is an answer, on a thread; None: stopped meanwhile."""
        tried = 0
        while not self._stop.is_set():
            try:
                return await asyncio.to_thread(ask)
            except RetriableError as error:
                tried += 1
                self._telemetry.log.warning("waiting", error=str(error), tried=tried)
            await self._sleep(backoff_s(tried))
        return None

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def _fail(self, error: BaseException) -> None:
        """What the threads call, by way of the loop, when they can't go on."""
        if self._failure is None:
            self._failure = error
        self.stop()

    # --- serving

    async def serve(self, gateway: Gateway) -> None:
        """Serve these parts until stopped."""
        settings = self._settings
        listener = listen(settings)
        self.port = listener.getsockname()[1]
        server = QuietServer(
            uvicorn.Config(
                make_app(gateway),
                http=bounded_http(
                    HeadLimits(
                        settings.gateway_head_bytes_max,
                        settings.gateway_head_timeout_ms,
                        settings.gateway_connections_max,
                    )
                ),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.gateway_proxies),
                forwarded_allow_ips=settings.gateway_proxies,
                ws=FramedSocket,
                ws_max_size=settings.gateway_socket_message_bytes_max,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=settings.gateway_append_timeout_ms // _MS_PER_S + 2,
            )
        )
        served = asyncio.create_task(server.serve(sockets=[listener]))
        self._telemetry.log.info("listening", host=settings.gateway_host, port=self.port)
        while not self._stop.is_set() and not served.done():
            self._note_readiness(gateway)
            await self._sleep(_READINESS_INTERVAL_S)
        self._telemetry.ready.clear()
        self._telemetry.log.info("stopping", sockets=len(gateway.hub))
        gateway.desk.stopping = gateway.sockets.stopping = gateway.controls.stopping = True
        gateway.verdicts.stopping.set()
        gateway.hub.close_all(SERVICE_RESTART, "the gateway stops; connect again shortly")
        await self._see_off(gateway)
        server.should_exit = True
        await served

    def _note_readiness(self, gateway: Gateway) -> None:
        is_ready = gateway.log.available and not gateway.model.behind
        if is_ready == self._telemetry.ready.is_set():
            return
        self._telemetry.log.info("ready" if is_ready else "not_ready")
        if is_ready:
            if not self._was_ready:
                self._was_ready = True
                spare_collections()
            self._telemetry.ready.set()
        else:
            self._telemetry.ready.clear()

    async def _see_off(self, gateway: Gateway) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await gateway.hub.wait_until_empty()
        except TimeoutError:
            self._telemetry.log.warning("sockets_cut_off", sockets=len(gateway.hub))


def _trades_tail(settings: GatewaySettings) -> int:
    """How many records of each partition of `trades` to read from before the start."""
    resumable = settings.gateway_resumable // TICKER_PARTITIONS
    shown = max(settings.gateway_trades_kept, resumable)
    return max(_TAIL_FACTOR * shown, settings.gateway_candle_trades_max)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _truly(act: Callable[[], None]) -> bool:
    """Do it, and say so, where None would mean that it was not done."""
    act()
    return True


def listen(settings: GatewaySettings) -> socket.socket:
    """The listening socket, on loopback.

    Raises:
        ConfigurationError: the port can't be had.
    """
    return serving.listen(
        settings.gateway_host,
        settings.gateway_port,
        "OUTCRY_GATEWAY_PORT",
        settings.gateway_socket_stall_ms,
        is_shared=settings.gateway_port_shared,
    )
