"""A gateway as a process of its own on a test's log, which can be killed and started again."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.support.gateway_memory import eventually
from tests.support.trading_path import TradingPath

_READY_S: Final = 150.0
_END_S: Final = 60


class GatewayProcess:
    """It listens on the same port each time, open to whoever names an account."""

    def __init__(self, path: TradingPath, log: Path) -> None:
        self._environment = os.environ | {
            "OUTCRY_GATEWAY_ACCESS": "open",
            "OUTCRY_GATEWAY_WAIT_MAX_MS": "60000",
            "OUTCRY_KAFKA_BOOTSTRAP": path.addresses.kafka_bootstrap,
            "OUTCRY_REGISTRY_URL": path.addresses.registry_url,
            "OUTCRY_TOPIC_PREFIX": path.prefix,
            "OUTCRY_PG_DSN": path.addresses.pg_dsn,
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        """0 before the first start."""

    async def start(self) -> None:
        """Return once it takes orders."""
        self._launch()
        await eventually(lambda: "ready" in self._events(), _READY_S)
        self.port = self._events()["listening"]

    def _launch(self) -> None:
        environment = self._environment | {"OUTCRY_GATEWAY_PORT": str(self.port)}
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.gateway"],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    async def kill(self) -> None:
        """By SIGKILL, if it runs: it says goodbye to nobody."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait, _END_S)

    def _events(self) -> dict[str, int]:
        """What it has logged, and the port where one is said."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return {line["event"]: line.get("port", 0) for line in told}


@asynccontextmanager
async def gateway_process(path: TradingPath, log: Path) -> AsyncIterator[GatewayProcess]:
    """One that takes orders; it is killed at the end."""
    gateway = GatewayProcess(path, log)
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.kill()
