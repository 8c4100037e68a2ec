"""A deployment of drift in a folder: a lake, a registered champion, what it said, and a ledger.

The market is made up and known: nothing changes in it unless a test changes it.
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.drift.core.arrays import Bools, Ints
from services.drift.core.predicted import Predictions
from services.drift.core.windows import SECOND_US, Window
from services.drift.ledger import Ledger, MemoryLedger
from services.drift.pictures import Order, ScoresOrder
from services.drift.report_files import ReportLimits
from services.lake.places import Lake
from services.models.registry import Registry
from services.tools.drift.jobs.place import Place
from services.tools.drift.jobs.rows import rows_between
from services.tools.drift.jobs.run import Drawer, Found, RunOrder, run_jobs
from services.tools.drift.jobs.told import KINDS, Told
from services.tools.features.parity import Tally
from services.tools.features.served_parity import ServedParity
from services.trainer.dataset import DatasetPlan, load_dataset
from services.trainer.provenance import training_data
from tests.support.markets import START_US, V1, null_market, put_table
from tests.support.mlflow_template import put_database
from tests.support.model_kit import COLUMNS, linear_model, put_model

TICKERS: Final = ("AAPL", "MSFT")
WINDOW_S: Final = 600
TRAINED_S: Final = 20 * WINDOW_S
"""Twenty windows; with 19 or more, stretches of the reference are enough for 5 %."""
MODEL: Final = "direction_10s"
BEGIN_US: Final = START_US - START_US % (WINDOW_S * SECOND_US) + WINDOW_S * SECOND_US
"""Of the lake: windows stand at multiples of their length."""

type Change = Callable[["pa.Table"], "pa.Table"]
type Keep = Callable[[Ints], Bools]
"""Of grid times."""


def window(number: int, windows: int = 1) -> Window:
    """The n-th window after the training."""
    begin_us = BEGIN_US + (TRAINED_S + number * WINDOW_S) * SECOND_US
    return Window(begin_us, begin_us + windows * WINDOW_S * SECOND_US)


def market(windows: int, seed: int = 3) -> "pa.Table":
    """The training's rows and so many windows after them, and two minutes more."""
    seconds = TRAINED_S + windows * WINDOW_S + 120
    table = null_market(seconds * len(TICKERS), seed, TICKERS, memory_s=5)
    moved = {}
    for name in ("event_timestamp", "created"):
        times = pc.add(table.column(name).cast(pa.int64()), BEGIN_US - START_US)
        moved[name] = times.cast(table.schema.field(name).type)
    for name, times in moved.items():
        table = table.set_column(table.column_names.index(name), table.field(name), times)
    return table


def changed(column: str, change: Callable[[Any, Any], Any], begin: int = 0) -> Change:
    """A column from the n-th window on: what becomes of its values, by place in the window."""

    def apply(table: "pa.Table") -> "pa.Table":
        times = table.column("event_timestamp").cast(pa.int64()).to_numpy()
        values = table.column(column).to_numpy().copy()
        late = times >= window(begin).begin_us
        values[late] = change(values[late], (times[late] - window(begin).begin_us) // SECOND_US)
        array = pa.array(values, mask=np.isnan(values))
        return table.set_column(table.column_names.index(column), table.field(column), array)

    return apply


@cache
def _template() -> Path:
    """Made once a test process: MLflow takes seconds to register a model."""
    home = Path(mkdtemp(prefix="outcry-drift-world-")) / "home"
    DriftWorld(home)
    return home


class DriftWorld:
    """One deployment, and its jobs."""

    def __init__(self, home: Path, windows: int = 3) -> None:
        self._windows = windows
        self._open(home)
        self.put()
        put_database(home)
        self.register()

    @classmethod
    def at(cls, home: Path, windows: int = 3) -> Self:
        """A copy of one that was made before."""
        made = cls.__new__(cls)
        made._windows = windows
        made._open(home)
        return made

    @classmethod
    def copied(cls, home: Path) -> Self:
        """A copy of one with three windows, in which nothing has changed."""
        return cls.at(shutil.copytree(_template(), home))

    def _open(self, home: Path) -> None:
        self.home = home
        self.lake = Lake(home)
        self.registry = Registry(home, name=MODEL)
        self.ledger: Ledger = MemoryLedger()
        self.said: Predictions | None = None
        """None: what the champion says of every row."""
        self.drawn: list[Order] = []
        self.drawn_scores: list[ScoresOrder] = []
        self.draw: Drawer = self._draw
        self.asked_said: Callable[[int, int], Predictions] = lambda _begin, _end: (
            self.said or said_of(self)
        )
        self.found: Found = lambda _: None
        self.now = datetime.fromtimestamp(window(100).begin_us / SECOND_US, UTC)
        self.parity = ServedParity([Tally("served", V1.name, matched=7)], ends={0: 7})

    def put(
        self, change: Change | None = None, keep: Keep | None = None, *, beside: bool = False
    ) -> None:
        """The market, with a change, only rows of some times; instead of the lake's, or beside."""
        table = market(self._windows)
        if change is not None:
            table = change(table)
        if keep is not None:
            times = table.column("event_timestamp").cast(pa.int64()).to_numpy()
            table = table.filter(pa.array(keep(times)))
        if not beside:
            shutil.rmtree(self.lake.root, ignore_errors=True)
        put_table(self.lake, table, is_stream=beside)

    def forget_rows_before(self, window: Window) -> None:
        """As somebody does who clears an old lake away."""
        self.put(keep=lambda times: times >= window.begin_us)

    @staticmethod
    def empty_registry(home: Path) -> Registry:
        put_database(home)
        return Registry(home, name=MODEL)

    def register(self, seed: int = 1) -> int:
        """Another version, of the training's rows, champion at once."""
        last_us = BEGIN_US + (TRAINED_S - 1) * SECOND_US
        dataset = load_dataset(
            self.lake, DatasetPlan(V1.name, tickers=TICKERS, last_us=last_us, folds=3)
        )
        folder = self.home / f"model-{seed}"
        put_model(folder, linear_model(seed), data=training_data(dataset, 3))
        version = self.registry.register(folder)
        self.registry.promote(version, force=True, why="a test")
        return version

    def place(self) -> Place:
        return Place(
            self.home, self.lake, self.registry, self.ledger,
            self.asked_said, lambda: self.parity,
        )  # fmt: skip

    def run(self, *kinds: str, **order: object) -> list[Told]:
        """The jobs of these kinds; all, if none is named."""
        given: dict[str, Any] = {"window_s": WINDOW_S, "draws": False} | order
        chosen = tuple(kind for kind in KINDS if not kinds or kind in kinds)
        run = RunOrder(chosen, 0.05, ReportLimits(), **given)
        return run_jobs(self.place(), run, now=lambda: self.now, drawer=self.draw, found=self.found)

    def _draw(self, order: Order | ScoresOrder, page: Path) -> str:
        """Where Evidently would."""
        if isinstance(order, Order):
            self.drawn.append(order)
        else:
            self.drawn_scores.append(order)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(order.title)
        return "made"


def said_of(world: DriftWorld, version: int | None = None) -> Predictions:
    """What a version says of each row of the lake that has all inputs."""
    version = version or world.registry.alias()
    assert version is not None
    model = world.registry.load(version)
    rows = rows_between(world.lake, V1, TICKERS, BEGIN_US, window(1_000).end_us)
    inputs = rows.values[:, [V1.columns.index(name) for name in COLUMNS]]
    able = np.isfinite(inputs).all(axis=1)
    stated = model.predictor.probabilities(np.ascontiguousarray(inputs[able])).astype(np.float64)
    count = len(stated)
    zeros = np.zeros(count, dtype=np.int64)
    times = rows.grid_time_us[able]
    return Predictions(
        rows.tickers, (MODEL,), (model.manifest.model_sha256,),
        rows.ticker[able].astype(np.int64), zeros, zeros, times, zeros + version, zeros > 0,
        np.argmax(stated, axis=1), stated, times,
    )  # fmt: skip
