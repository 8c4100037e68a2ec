"""The process: models from the registry, HTTP on one event loop, the stream on a thread.

It serves, and its readiness for a supervisor is set, once the registry was looked at for the first
time: without a model it is up and says so to who asks, and takes the first champion as it comes.

It stops in order: no new predictions, what is under way is answered, the stream commits, what waits
for the log is written.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from threading import Thread
from typing import Final

import uvicorn

from services.door.serving import QuietServer, listen, spare_collections
from services.inference.app import Inference, make_app
from services.inference.check_client import CheckedRegistry
from services.inference.core import Alias, Freshness
from services.inference.desk import Desk
from services.inference.predictions import PredictionLog, PredictionSink
from services.inference.reload import Poller, Reloader, StatedFeatures
from services.inference.rows_source import KafkaRows
from services.inference.settings import InferenceSettings
from services.inference.shadow import Shadow
from services.inference.slots import Slots
from services.inference.stream import Stream
from services.models.classes import model_name
from services.runtime.kafka import KafkaConnection
from services.runtime.restore import Pacer
from services.runtime.telemetry import Telemetry
from services.runtime.tracing import hold_room_traces
from services.wire.codec import Codec

_TURN_S: Final = 0.1
_STALL_MS: Final = 30_000
_US_PER_S: Final = 1_000_000
_MS_PER_S: Final = 1_000
_GRACE_S: Final = 2


class Service:
    """One inference process.

    Args:
        source: the model registry; closed as the process stops, so that nothing waits for it.
        open_features: finds the FeatureService of a feature set.
        pacer: says when to stop.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        telemetry: Telemetry,
        pacer: Pacer,
        *,
        codec: Codec,
        connection: KafkaConnection,
        source: CheckedRegistry,
        open_features: Callable[[str], StatedFeatures],
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._pacer = pacer
        self._codec = codec
        self._connection = connection
        self._source = source
        self._slots = Slots()
        self._reloader = Reloader(
            model_name(settings.inference_horizon_s),
            source,
            open_features,
            self._slots,
            telemetry,
            aliases=_aliases(settings),
            row_ms_max=settings.inference_model_ms_max,
        )
        self._failure: BaseException | None = None
        self.port = 0
        """The port served, once it is; 0 before."""

    async def run(self) -> None:
        """Serve until stopped.

        Raises:
            OperatingError: it can't go on, and a person may have to act.
        """
        async with AsyncExitStack() as resources:
            log = self._open_log(resources)
            here = self._assemble(log, resources)
            poller = Poller(
                self._reloader, self._settings.inference_poll_interval_s, self._telemetry
            )
            resources.push_async_callback(asyncio.to_thread, poller.close)
            poller.start()
            resources.push_async_callback(asyncio.to_thread, self._source.close)
            if self._settings.inference_stream:
                self._start_stream(resources)
            await self._serve(here, poller)
        if self._failure is not None:
            raise self._failure

    def _open_log(self, resources: AsyncExitStack) -> PredictionLog:
        log = PredictionLog(
            self._connection, self._codec, self._settings.inference_unsent_max, self._telemetry
        )
        resources.push_async_callback(asyncio.to_thread, log.close)
        return log

    def _assemble(self, sink: PredictionSink, resources: AsyncExitStack) -> Inference:
        settings, telemetry = self._settings, self._telemetry
        freshness = Freshness(
            settings.inference_feature_age_s_max * _US_PER_S,
            settings.inference_feature_ahead_s_max * _US_PER_S,
            takes_stale=settings.inference_unfit_policy == "degrade",
        )
        shadow = Shadow(
            self._slots, sink, freshness, settings.inference_shadow_waiting_max, telemetry
        )
        resources.push_async_callback(asyncio.to_thread, shadow.close)
        desk = Desk(
            self._slots,
            sink,
            shadow,
            telemetry,
            freshness=freshness,
            canary_percent=settings.inference_canary_percent,
        )
        here = Inference(settings, desk, self._slots, self._reloader, sink, telemetry)
        resources.push_async_callback(asyncio.to_thread, here.close)
        return here

    def _start_stream(self, resources: AsyncExitStack) -> None:
        traces = hold_room_traces(
            "inference",
            self._settings,
            self._telemetry,
            lambda close: resources.push_async_callback(asyncio.to_thread, close),
        )
        stream = Stream(
            self._slots,
            self._codec,
            self._open_log(resources),
            partial(KafkaRows, self._connection, self._settings.instance),
            self._telemetry,
            self._pacer,
            traces,
        )

        def work() -> None:
            try:
                stream.run()
            except BaseException as error:  # noqa: BLE001 - the process ends with it
                self._failure = error

        thread = Thread(target=work, name="stream", daemon=True)
        thread.start()
        resources.push_async_callback(asyncio.to_thread, thread.join)

    async def _serve(self, here: Inference, poller: Poller) -> None:
        settings, telemetry = self._settings, self._telemetry
        listener = listen(
            settings.inference_host, settings.inference_port, "OUTCRY_INFERENCE_PORT", _STALL_MS
        )
        self.port = listener.getsockname()[1]
        server = QuietServer(
            uvicorn.Config(
                make_app(here),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=settings.inference_answer_timeout_ms // _MS_PER_S
                + _GRACE_S,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        telemetry.log.info("listening", host=settings.inference_host, port=self.port)
        predicts = False
        while not self._pacer.stopping() and self._failure is None and not serving.done():
            looked = poller.looked.is_set() and not telemetry.ready.is_set()
            if looked or (not predicts and self._slots.all()):
                spare_collections()
                predicts = bool(self._slots.all())
            if looked:
                telemetry.ready.set()
                telemetry.log.info("ready", models=sorted(self._slots.all()))
            await asyncio.sleep(_TURN_S)
        telemetry.ready.clear()
        telemetry.log.info("stopping")
        here.stopping = True
        server.should_exit = True
        await serving


def _aliases(settings: InferenceSettings) -> tuple[Alias, ...]:
    chosen = [Alias.CHAMPION]
    if settings.inference_canary_percent:
        chosen.append(Alias.CHALLENGER)
    if settings.inference_shadow:
        chosen.append(Alias.SHADOW)
    return tuple(chosen)
