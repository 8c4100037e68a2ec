"""What a pipeline is asked to do."""

from pathlib import Path
from typing import Literal

import msgspec

from services.trainer.service import TrainingPlan

type FileKind = Literal["lobster", "trades"]


class GivenFile(msgspec.Struct, frozen=True):
    """A file of history to take in first."""

    kind: FileKind
    path: Path


class PipelineOrder(msgspec.Struct, frozen=True):
    """One run, or each run of a schedule."""

    home: Path
    plan: TrainingPlan
    files: tuple[GivenFile, ...] = ()
    source: Literal["lake", "kafka"] = "lake"
    """Where rows are backfilled from; with `kafka` the stream's own rows count, too."""
    promotes: bool = True
    inference_url: str = ""
    """Told to load the champion anew; empty: nobody is."""
