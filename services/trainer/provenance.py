"""Where a model came from, as far as no data set tells: code, libraries, offsets of the log."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np

import services
from services.models.manifest import OffsetRange, TrainingData
from services.trainer.dataset import Dataset

LIBRARIES: Final = ("duckdb", "numpy", "pyarrow", "scikit-learn", "scipy", "xgboost-cpu")
"""Whose versions may change a model."""
_GIT_TIMEOUT_S: Final = 10


def code_version() -> str:
    """The commit of the checkout; without a checkout the package's version.

    `+changes` stands behind a commit whose services are not as they were committed.
    """
    root = Path(services.__file__).parents[1]
    if (root / ".git").exists():
        try:
            commit = _git(root, "rev-parse", "HEAD")
            changed = _git(root, "status", "--porcelain", "--untracked-files=no", "services")
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            return f"{commit}+changes" if changed else commit
    try:
        return version("outcry")
    except PackageNotFoundError:
        return "unknown"


def library_versions() -> dict[str, str]:
    """By name."""
    return {name: version(name) for name in LIBRARIES}


def training_data(dataset: Dataset, folds: int) -> TrainingData:
    """The way from a model back to the rows, and to the trades that closed them."""
    offsets = {}
    for code, ticker in enumerate(dataset.tickers):
        own = np.flatnonzero(dataset.ticker == code)
        if len(own):
            ends = dataset.trade_offset[own[[0, -1]]]
            offsets[ticker] = OffsetRange(int(ends[0]), int(ends[1]))
    return TrainingData(
        sha256=dataset.sha256,
        rows=len(dataset),
        first_grid_us=int(dataset.grid_time_us[0]),
        last_grid_us=int(dataset.grid_time_us[-1]),
        offsets=offsets,
        folds=folds,
        gap_s=dataset.gap_us // 1_000_000,
    )


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=_GIT_TIMEOUT_S,
    ).stdout.strip()
