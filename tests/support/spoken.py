"""Small markets and what models said of them, for tests of performance."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from services.drift.core.predicted import Predictions
from services.drift.core.truths import Market
from services.drift.core.windows import SECOND_US, Window
from services.models.manifest import ModelManifest
from tests.support.model_kit import estimate, manifest

FIRST_S: Final = 1_790_000_000
MODEL: Final = "direction_10s"
TICKERS: Final = ("AAPL", "MSFT", "NVDA")
CERTAIN: Final = ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8))
"""By class."""
BLOCK_S: Final = 10


class Said(NamedTuple):
    """One record of `predictions`."""

    ticker: int
    second: int
    said: int
    version: int = 1
    is_shadow: bool = False
    probabilities: tuple[float, ...] | None = None
    """None: `CERTAIN` of what is said."""
    served_at: int = 0
    sha: str | None = None
    """None: the version's own file."""
    model: str = MODEL


class Row(NamedTuple):
    """One row of the lake."""

    ticker: int
    second: int
    mid: int | None
    half_spread: int = 50
    is_defined: bool = True


def at_us(second: int) -> int:
    return (FIRST_S + second) * SECOND_US


def window(begin: int, end: int) -> Window:
    return Window(at_us(begin), at_us(end))


def file_of(version: int) -> str:
    return f"{version:064x}"


def predictions(
    records: Sequence[Said], *, undecodable: int = 0, is_cut: bool = False
) -> Predictions:
    """The records as columns, in their order."""
    files = [file_of(one.version) if one.sha is None else one.sha for one in records]
    shas = tuple(dict.fromkeys(files))
    models = tuple(dict.fromkeys(one.model for one in records))
    return Predictions(
        TICKERS,
        models,
        shas,
        np.array([one.ticker for one in records], dtype=np.int64),
        np.array([models.index(one.model) for one in records], dtype=np.int64),
        np.array([shas.index(file) for file in files], dtype=np.int64),
        np.array([at_us(one.second) for one in records], dtype=np.int64),
        np.array([one.version for one in records], dtype=np.int64),
        np.array([one.is_shadow for one in records], dtype=np.bool_),
        np.array([one.said for one in records], dtype=np.int64),
        np.array([one.probabilities or CERTAIN[one.said] for one in records]).reshape(
            len(records), 3
        ),
        np.array([one.served_at for one in records], dtype=np.int64),
        undecodable,
        is_cut,
    )


def market(rows: Sequence[Row], tickers: tuple[str, ...] = TICKERS) -> Market:
    """The rows as columns, in their order."""
    return Market(
        tickers,
        np.array([row.ticker for row in rows], dtype=np.int64),
        np.array([at_us(row.second) for row in rows], dtype=np.int64),
        np.array([row.mid or 0 for row in rows], dtype=np.int64),
        np.array([row.mid is not None for row in rows], dtype=np.bool_),
        np.array([row.half_spread for row in rows], dtype=np.int64),
        np.array([row.is_defined for row in rows], dtype=np.bool_),
    )


def model(
    version: int = 1, macro_f1: float = 0.45, kind: str = "linear", **changes: object
) -> ModelManifest:
    """A version whose blocks are of 10 s, and whose promise is good to 0.02."""
    made = manifest(kind, files={"model.json": file_of(version)}, **changes)
    return replace(
        made,
        data=replace(made.data, gap_s=BLOCK_S),
        metrics=replace(made.metrics, macro_f1=estimate(macro_f1, 0.02)),
    )
