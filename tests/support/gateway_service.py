"""A gateway on a real log, in the process of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.metrics import METRICS
from services.gateway.service import Service
from services.gateway.settings import GatewaySettings
from services.runtime.telemetry import Telemetry
from tests.support.gateway_memory import eventually


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[Service]:
    """It is ready, or has ended; it is stopped at the end."""
    telemetry = Telemetry("gateway", metrics=METRICS)
    service = Service(settings, telemetry)
    task = asyncio.create_task(service.run())
    await eventually(lambda: telemetry.ready.is_set() or task.done())
    try:
        yield service
    finally:
        service.stop()
        await task
