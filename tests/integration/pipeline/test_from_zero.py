"""From an empty home to a served model on the real log, as a newcomer does it.

The market is history that is streamed in its own event time, since a live one would have to trade
for twenty minutes first; its trades have something to learn in them.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.lake.files import read_file
from services.lake.places import Lake
from services.tools.history.deployment import STREAM_ROOMS, open_stream_deployment
from services.tools.history.flow import Days, opening_mark
from services.tools.history.stream import stream
from services.tools.stack.settings import HOST, PORT_OFFSETS
from tests.support.markets import put_trades
from tests.support.mlflow_template import put_database
from tests.support.stack_fixture import StackInfra
from tests.support.telling_trades import SECONDS, telling_trades
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PREFIX: Final = "from-zero."
ROOMS: Final = (*STREAM_ROOMS, "features", "materializer", "inference")

type Document = dict[str, Any]


class FreshStack:
    """A deployment on which nothing was learnt yet; its market is over."""

    def __init__(self, home: Path, port_base: int) -> None:
        self.home = home
        self._port = port_base + PORT_OFFSETS["predict"]
        self._environment = {
            "OUTCRY_HOME": str(home),
            "OUTCRY_PORT_BASE": str(port_base),
            "OUTCRY_TOPIC_PREFIX": PREFIX,
        }

    def pipeline(self, *arguments: str) -> list[Document]:
        """`outcry pipeline run` from the log, one run that is taken up again."""
        given = ("--run", "one", "--source", "kafka", "--ticker", "AAPL", "--json", *arguments)
        done = CliRunner().invoke(
            app,
            ["pipeline", "run", "--model", "logistic", "--budget", "1", *given],
            env=self._environment,
        )
        assert done.exit_code == 0, (done.output, done.exception)
        steps: list[Document] = json.loads(done.stdout)
        return steps

    def ask(self, path: str, body: Document | None = None) -> Document:
        """What the inference room answers."""
        request = urllib.request.Request(
            f"http://{HOST}:{self._port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own
            document: Document = json.loads(answer.read())
        return document

    def served(self) -> int | None:
        """The version of the champion that the room has."""
        champion: Document | None = self.ask("/models")["models"].get("champion")
        return None if champion is None else int(champion["version"])


def rows_in(lake: Lake) -> int:
    """Rows of features that the materializer has written."""
    files = lake.feature_files("microstructure_v1")
    return sum(read_file(path, "features").num_rows for path, _ in files)


@pytest.fixture(scope="module")
def fresh(
    stack_infra: StackInfra, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FreshStack]:
    """Its rooms, on the ports of a stack of its own, once all that was traded came through them."""
    lake = Lake(tmp_path_factory.mktemp("recorded"))
    put_trades(lake, "AAPL", telling_trades())
    settings = stack_infra.settings
    marks = {"AAPL": opening_mark(lake, "AAPL", Days())}
    home = settings.home / "sets" / PREFIX.strip(".")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OUTCRY_INFERENCE_FEATURE_AGE_S_MAX", "0")  # its rows are of another year
        patched.setenv("OUTCRY_INFERENCE_POLL_INTERVAL_S", "0.2")
        put_database(home)
        with open_stream_deployment(settings, PREFIX, marks, ROOMS, settings.port_base) as place:
            streamed = stream(place, lake, ["AAPL"], Days(), speed=0)
            assert streamed.holds, streamed.difference
            assert streamed.trades_expected == SECONDS
            # One at each second between two trades. A step is kept if the lake was complete for it.
            wait_until(lambda: rows_in(Lake(home)) == SECONDS - 1, "every row in the lake", 120)
            yield FreshStack(home, settings.port_base)


@pytest.mark.long
def test_a_model_of_the_logs_trades_is_served_and_what_is_done_is_kept(fresh: FreshStack) -> None:
    assert fresh.served() is None
    steps = {done["record"]["step"]: done for done in fresh.pipeline("--no-reload")}
    assert not any(done["kept"] for done in steps.values())
    said = {name: done["record"]["outputs"] for name, done in steps.items()}
    matched = said["parity"]["matched"]
    assert matched["features/0"] == matched["lake"] > 1_000
    assert said["dataset"]["tickers"] == ["AAPL"]
    assert said["evaluate"]["beats_baseline"]
    assert said["promote"] == {"promoted": True, "why": "better"}
    # Nobody told the room: it asks what the alias says.
    wait_until(lambda: fresh.served() == said["register"]["version"] == 1, "the champion", 120)
    answer = fresh.ask("/predict", {"tickers": ["AAPL"]})
    assert answer["model"]["sha256"] == said["train"]["model_sha256"]
    (row,) = answer["predictions"]
    assert sum(row["probabilities"].values()) == pytest.approx(1)
    again = fresh.pipeline()
    assert [done["record"]["step"] for done in again if not done["kept"]] == ["reload"]
    assert again[-1]["record"]["outputs"]["serving"] == 1
    assert all(done["kept"] for done in fresh.pipeline())
