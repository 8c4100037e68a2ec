"""What a model said of a ticker, with all that it takes to say it again."""

from typing import Final

import msgspec

REQUESTED: Final = 1
"""Somebody asked over HTTP."""
STREAMED: Final = 2
"""A new row of features came."""
MODE_NAMES: Final = {REQUESTED: "REQUESTED", STREAMED: "STREAMED"}

CLASS_NAMES: Final = ("down", "flat", "up")
"""Of each class: where the mid will be, a horizon later."""


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One answer of one model, with the vector that it was given.

    Its origin is the feature row of the stream that caused it; a request has none
    (`origin.NOWHERE`). Written at least once; a repetition has the same request id, and in the
    stream, by the same model, the same bytes.
    """

    request_id: str
    """Of the request; in the stream it is made of ticker, grid time, model and version."""
    mode: int
    """1 requested, 2 streamed."""
    ticker: str
    served_at_us: int
    """When it was made, microseconds since the epoch; in the stream when the row came to Kafka."""
    grid_time_us: int
    """Of the row; with ticker, feature set and fingerprint it leads back to the trades."""
    feature_set: str
    fingerprint: str
    """Of the set's definitions and code: the row's, and the model's."""
    model: str
    model_version: int
    """As the registry counts."""
    model_sha256: str
    """Of the model's file."""
    is_shadow: bool
    """Whether it was only for comparison, and in no answer."""
    is_degraded: bool
    """Whether the policy let it be made of a row that is too old."""
    predicted_class: int
    """The most probable: 0 down, 1 flat, 2 up."""
    probabilities: tuple[float, ...]
    """Of each class, in that order."""
    vector: tuple[float, ...]
    """What the model was given, in the order of its columns."""
