"""All of docker-compose.yml in an engine, where one answers: it starts, trades and is audited."""

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.support.containers import SECRETS
from tests.support.optional import require_engine
from tests.support.waiting import wait_until
from tests.tidy.tree import ROOT

GATEWAY = "http://127.0.0.1:19080"
LIMITS = ("--position-max", "1000", "--notional-max", "1000000", "--exposure-max", "1000000")

pytestmark = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The command line of the engine's compose for a stack that is up, and goes with its data."""
    require_engine()
    from testcontainers.compose import DockerCompose

    secrets = tmp_path_factory.mktemp("compose") / "env"
    lines = [f"{name}={value}\n" for name, value in SECRETS.items()]
    secrets.write_text("".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        # Its volumes are removed in the end: never those of somebody's own stack.
        patch.setenv("COMPOSE_PROJECT_NAME", "outcry-test")
        with DockerCompose(ROOT, build=True, wait=False, env_file=str(secrets)) as stack:
            yield stack.docker_compose_command()


def outcry(compose: list[str], *arguments: str) -> str:
    return subprocess.run(
        [*compose, "run", "--rm", "-T", "tools", *arguments],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=300,
    ).stdout  # fmt: skip


def test_the_stack_in_containers_starts_trades_and_is_audited(compose: list[str]) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"{GATEWAY}/readyz", timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    wait_until(is_ready, "a ready gateway", 600)
    outcry(compose, "mark", "set", "AAPL", "187.20")
    keys = {}
    for account in ("alice", "bob"):
        outcry(compose, "accounts", "open", account, *LIMITS, "--short")
        made = outcry(compose, "keys", "create", "--account", account, "--scope", "trade", "--json")
        keys[account] = json.loads(made)["key"]
    statuses = []
    for account, side in (("bob", "SELL"), ("alice", "BUY")):
        answer = httpx.post(
            f"{GATEWAY}/orders",
            headers={"Authorization": f"Bearer {keys[account]}", "Prefer": "wait=10"},
            json={
                "client_order_id": f"{account}-1", "ticker": "AAPL", "side": side,
                "order_type": "LIMIT", "time_in_force": "GTC", "price": "187.25", "quantity": 100,
            },
            timeout=30,
        )  # fmt: skip
        statuses.append(answer.json()["status"])
    assert statuses == ["NEW", "FILLED"]
    assert outcry(compose, "audit")
