"""The serving model's performance in windows whose labels have come, as results."""

import dataclasses
from collections.abc import Sequence
from hashlib import sha256

import msgspec
import numpy as np
from msgspec.structs import replace

from services.drift.core.outcomes import Refusal
from services.drift.core.performance import Scored, track
from services.drift.core.predicted import Predictions
from services.drift.core.standing import Performance
from services.drift.core.windows import SECOND_US, Window
from services.drift.ledger import Result, result_of
from services.drift.report_files import path_of
from services.drift.rivals import rivals_of, training_shares
from services.scoring.errors import TooLittleDataError
from services.tools.drift.jobs.place import Place
from services.tools.drift.jobs.reference import Question, training_rows
from services.tools.drift.jobs.rows import market_of, rows_between


def basis_of(question: Question) -> str:
    """Of the promise that the model is held against, and of whose rows."""
    asked = [question.serving.manifest_sha256, question.tickers]
    return sha256(msgspec.json.encode(asked)).hexdigest()


def shares_of(place: Place, question: Question) -> tuple[float, ...] | None:
    """Of the classes in training; None: its rows are gone, and with them one plain rule."""
    manifest = question.serving.manifest
    rows = training_rows(place, question.serving, question.feature_set)
    if isinstance(rows, Refusal):
        return None
    try:
        of_training = market_of(rows, question.feature_set, manifest.columns).market
        return training_shares(of_training, manifest)
    except TooLittleDataError:
        return None


def performance_of(
    place: Place,
    question: Question,
    window: Window,
    said: Predictions,
    shares: Sequence[float] | None,
) -> tuple[Performance, Scored | None]:
    """One window, judged, and the rows of its figures.

    Raises:
        TrainerError: the lake holds rows that no fold gives.
        LakeError: a file is damaged or another's.
    """
    serving, manifest = question.serving, question.serving.manifest
    last_us = window.last_us + manifest.label.horizon_s * SECOND_US
    rows = rows_between(
        place.lake, question.feature_set, question.tickers, window.begin_us, last_us
    )
    found = market_of(rows, question.feature_set, manifest.columns)
    return track(
        serving.name,
        serving.version,
        serving.manifests,
        window,
        of_tickers(said, question.tickers),
        found.market,
        rivals_of(manifest.columns, found.inputs, shares),
    )


def result_for(question: Question, found: Performance, *, is_drawn: bool) -> Result:
    """What the ledger keeps of it; with the place of its page, if there are rows to draw."""
    result = result_of(found, basis_of(question))
    if not is_drawn:
        return result
    return replace(result, job=replace(result.job, report_path=path_of(result.job)))


def scores_of(found: Performance) -> dict[str, dict[str, float]]:
    """Of the version on what it served, by ticker; all tickers together have no name."""
    if found.figures is None:
        return {}
    return {"": found.figures.scores} | {part.ticker: part.figures.scores for part in found.tickers}


def of_tickers(said: Predictions, tickers: Sequence[str]) -> Predictions:
    """Only these tickers' records."""
    asked = [name in tickers for name in said.tickers]
    if all(asked):
        return said
    kept = np.array(asked, dtype=np.bool_)[said.ticker]
    return dataclasses.replace(
        said,
        ticker=said.ticker[kept],
        model=said.model[kept],
        sha=said.sha[kept],
        grid_time_us=said.grid_time_us[kept],
        version=said.version[kept],
        is_shadow=said.is_shadow[kept],
        said=said.said[kept],
        probabilities=said.probabilities[kept],
        served_at_us=said.served_at_us[kept],
    )
