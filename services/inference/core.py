"""What is decided without asking anyone: which rows are fit, which model answers, what is said.

Nothing is ever filled in. A row is fit to be predicted from, or it is not and says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Final

import msgspec

from services.models.classes import CLASS_NAMES
from services.models.vector import NOT_INPUTS, VectorError, make_vector
from services.online.rows import Served

_US_PER_MS: Final = 1_000
_PERCENT: Final = 100


class Alias(StrEnum):
    """What the registry calls the versions that are served."""

    CHAMPION = "champion"
    """Answers."""
    CHALLENGER = "challenger"
    """Answers the canary's share of requests."""
    SHADOW = "shadow"
    """Is scored on the same rows, and never in an answer."""


class RowFault(StrEnum):
    """Why there is no prediction for a ticker."""

    UNKNOWN_TICKER = "UNKNOWN_TICKER"
    """No row of it ever came to the online store."""
    STALE_FEATURES = "STALE_FEATURES"
    """Its newest row is older than the limit."""
    FUTURE_FEATURES = "FUTURE_FEATURES"
    """Its newest row is further ahead of this machine's clock than clocks may differ."""
    UNDEFINED_FEATURES = "UNDEFINED_FEATURES"
    """Its newest row has features that are not defined yet."""


class Fit(msgspec.Struct, frozen=True, gc=False):
    """A row to predict from."""

    ticker: str
    grid_time_us: int
    age_ms: int
    vector: list[float]
    """In the order of the model's columns."""
    is_stale: bool


class Unfit(msgspec.Struct, frozen=True, gc=False):
    """A ticker for which nothing can be predicted."""

    ticker: str
    fault: RowFault
    detail: str
    grid_time_us: int | None = None
    age_ms: int | None = None


class Freshness(msgspec.Struct, frozen=True):
    """What the settings say of rows."""

    age_us_max: int
    """0: any age will do, and any future."""
    ahead_us_max: int
    """How far a row may be ahead of this clock, since clocks differ."""
    takes_stale: bool
    """Whether a stale row is predicted from, and said to be stale."""


def judge_row(served: Served, columns: Sequence[str], now_us: int, rule: Freshness) -> Fit | Unfit:
    """Whether a model of these columns may predict from what the online store has of a ticker."""
    ticker, grid_time_us = served.ticker, served.grid_time_us
    if grid_time_us is None:
        detail = f"no features of {ticker!r} are online: it is not traded here, or never was yet"
        return Unfit(ticker, RowFault.UNKNOWN_TICKER, detail)
    ahead_us = grid_time_us - now_us
    if rule.age_us_max > 0 and ahead_us > rule.ahead_us_max:
        # How old it really is nobody can tell, so no policy predicts from it.
        detail = (
            f"the newest features of {ticker} are {ahead_us // _US_PER_MS:,} ms ahead,"
            f" {rule.ahead_us_max // _US_PER_MS:,} ms are allowed: this machine's clock is behind,"
            " or that of who dated the trades is ahead"
        )
        age_ms = -(ahead_us // _US_PER_MS)
        return Unfit(ticker, RowFault.FUTURE_FEATURES, detail, grid_time_us, age_ms)
    # A clock that is a little behind the log's makes no row younger than new.
    age_ms = max(0, now_us - grid_time_us) // _US_PER_MS
    is_stale = 0 < rule.age_us_max < now_us - grid_time_us
    if is_stale and not rule.takes_stale:
        detail = (
            f"the newest features of {ticker} are {age_ms:,} ms old,"
            f" {rule.age_us_max // _US_PER_MS:,} ms are allowed: no trade came since, or the rooms"
            " features and materializer lag"
        )
        return Unfit(ticker, RowFault.STALE_FEATURES, detail, grid_time_us, age_ms)
    inputs = {name: value for name, value in served.values.items() if name not in NOT_INPUTS}
    try:
        vector = make_vector(columns, inputs)
    except VectorError as error:
        detail = f"{ticker}: {error}; they are defined once there were trades enough"
        return Unfit(ticker, RowFault.UNDEFINED_FEATURES, detail, grid_time_us, age_ms)
    return Fit(ticker, grid_time_us, age_ms, vector, is_stale)


def is_canary(request_id: str, percent: int) -> bool:
    """Whether the challenger answers this request: always the same for the same id.

    By a hash that spreads ids which are counted up too; CRC-32 would not.
    """
    digest = blake2b(request_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % _PERCENT < percent


def stream_request_id(ticker: str, grid_time_us: int, model: str, version: int) -> str:
    """The id of a prediction in the stream: the same row and model give the same one again."""
    return f"{ticker}-{grid_time_us}-{model}-{version}"


def most_probable(probabilities: Sequence[float]) -> int:
    """The class with the greatest probability; of equal ones the first."""
    return max(range(len(probabilities)), key=lambda label: probabilities[label])


# --- what is said


class ModelView(msgspec.Struct, frozen=True):
    """Which model said it."""

    name: str
    version: int
    alias: str
    sha256: str


class PredictionView(msgspec.Struct, frozen=True):
    """What it said of one ticker; without a class where the policy lets an answer have gaps."""

    ticker: str
    predicted_class: str | None
    probabilities: dict[str, float] | None
    """By class."""
    grid_time_us: int | None
    """The features know every trade before it."""
    feature_age_ms: int | None
    degraded: bool
    """Made of a row that is too old, or not made at all: `reason` says which."""
    reason: str | None = None
    detail: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """Of POST /predict."""

    request_id: str
    model: ModelView
    feature_set: str
    fingerprint: str
    predictions: list[PredictionView]


def view_of(row: Fit | Unfit, probabilities: Sequence[float] | None) -> PredictionView:
    """One ticker's part of an answer."""
    if isinstance(row, Unfit):
        return PredictionView(
            row.ticker, None, None, row.grid_time_us, row.age_ms, True, row.fault, row.detail
        )
    assert probabilities is not None, "a fit row was predicted from"
    return PredictionView(
        row.ticker,
        CLASS_NAMES[most_probable(probabilities)],
        by_class(probabilities),
        row.grid_time_us,
        row.age_ms,
        row.is_stale,
        RowFault.STALE_FEATURES if row.is_stale else None,
    )


def views_of(
    rows: Sequence[Fit | Unfit], probabilities: Sequence[Sequence[float]]
) -> list[PredictionView]:
    """An answer's parts; the probabilities are those of the fit rows, in their order."""
    fit: Iterator[Sequence[float]] = iter(probabilities)
    return [view_of(row, next(fit) if isinstance(row, Fit) else None) for row in rows]


def by_class(numbers: Sequence[float]) -> dict[str, float]:
    """Numbers of the classes, by name."""
    return dict(zip(CLASS_NAMES, numbers, strict=True))


def by_column(columns: Sequence[str], numbers: Sequence[float]) -> Mapping[str, float]:
    """Numbers of a vector, by feature."""
    return dict(zip(columns, numbers, strict=True))
