"""The reasons that a problem of this room can give: the door's, and its own."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from services.door.bodies import pointer_to
from services.door.problems import DOOR_KINDS, Fault, Kind, ProblemError
from services.inference.core import RowFault, Unfit
from services.models.vector import VectorError, VectorFault


class Reason(StrEnum):
    """Beside those of `door.DoorReason` and `core.RowFault`; with them the list is closed."""

    MISSING_FEATURE = "MISSING_FEATURE"
    EXTRA_FEATURE = "EXTRA_FEATURE"
    NULL_FEATURE = "NULL_FEATURE"
    FEATURE_NOT_A_NUMBER = "FEATURE_NOT_A_NUMBER"
    NAN_FEATURE = "NAN_FEATURE"
    INFINITE_FEATURE = "INFINITE_FEATURE"
    TOO_MANY_TICKERS = "TOO_MANY_TICKERS"
    OTHER_FINGERPRINT = "OTHER_FINGERPRINT"
    NOT_EXPLAINABLE = "NOT_EXPLAINABLE"
    NO_MODEL = "NO_MODEL"
    FOREIGN_FEATURES = "FOREIGN_FEATURES"
    ONLINE_STORE_AWAY = "ONLINE_STORE_AWAY"
    ONLINE_STORE_BROKEN = "ONLINE_STORE_BROKEN"
    LOG_UNAVAILABLE = "LOG_UNAVAILABLE"
    ANSWER_TIMEOUT = "ANSWER_TIMEOUT"
    RELOAD_TIMEOUT = "RELOAD_TIMEOUT"
    STOPPING = "STOPPING"


_UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value
_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value

KINDS: Final[Mapping[str, Kind]] = {
    **DOOR_KINDS,
    RowFault.UNKNOWN_TICKER: Kind(404, "Nothing is known of the ticker"),
    Reason.OTHER_FINGERPRINT: Kind(409, "The model is of other feature definitions"),
    Reason.NOT_EXPLAINABLE: Kind(409, "The model does not say what each feature added"),
    Reason.MISSING_FEATURE: Kind(_UNPROCESSABLE, "A feature of the model is missing"),
    Reason.EXTRA_FEATURE: Kind(_UNPROCESSABLE, "The model has no such feature"),
    Reason.NULL_FEATURE: Kind(_UNPROCESSABLE, "A feature is null"),
    Reason.FEATURE_NOT_A_NUMBER: Kind(_UNPROCESSABLE, "A feature is no number"),
    Reason.NAN_FEATURE: Kind(_UNPROCESSABLE, "A feature is NaN"),
    Reason.INFINITE_FEATURE: Kind(_UNPROCESSABLE, "A feature is infinite"),
    Reason.TOO_MANY_TICKERS: Kind(_UNPROCESSABLE, "The request names too many tickers"),
    RowFault.STALE_FEATURES: Kind(_UNAVAILABLE, "The features are too old", 1),
    RowFault.FUTURE_FEATURES: Kind(_UNAVAILABLE, "The features are of the future", 1),
    RowFault.UNDEFINED_FEATURES: Kind(_UNAVAILABLE, "Features are not defined yet", 1),
    Reason.NO_MODEL: Kind(_UNAVAILABLE, "No model is served", 5),
    Reason.FOREIGN_FEATURES: Kind(_UNAVAILABLE, "The features are of other definitions", 5),
    Reason.ONLINE_STORE_AWAY: Kind(_UNAVAILABLE, "The online store does not answer", 1),
    Reason.ONLINE_STORE_BROKEN: Kind(_UNAVAILABLE, "The online store is not as it should be", 5),
    Reason.LOG_UNAVAILABLE: Kind(_UNAVAILABLE, "Too many predictions wait for the log", 1),
    Reason.RELOAD_TIMEOUT: Kind(_UNAVAILABLE, "The registry and its models took too long", 5),
    Reason.STOPPING: Kind(_UNAVAILABLE, "The service is stopping", 2),
    Reason.ANSWER_TIMEOUT: Kind(504, "Features or model took too long", 1),
}
"""Every reason a problem document can give, with its status and title."""

_OF_VECTOR: Final[Mapping[VectorFault, Reason]] = {
    VectorFault.MISSING: Reason.MISSING_FEATURE,
    VectorFault.EXTRA: Reason.EXTRA_FEATURE,
    VectorFault.NULL: Reason.NULL_FEATURE,
    VectorFault.NOT_A_NUMBER: Reason.FEATURE_NOT_A_NUMBER,
    VectorFault.NAN: Reason.NAN_FEATURE,
    VectorFault.INFINITE: Reason.INFINITE_FEATURE,
}
_FAULTS_SHOWN_MAX: Final = 20


def problem(
    reason: str,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    members: Mapping[str, object] | None = None,
) -> ProblemError:
    """The problem of one of `KINDS`."""
    return ProblemError(reason, KINDS[reason], detail, faults=faults, members=members)


def field_problem(reason: str, detail: str, *place: str | int) -> ProblemError:
    """The problem of one member of the body."""
    pointer = pointer_to(*place)
    fault = Fault(pointer, str(reason), detail)
    return problem(reason, f"{pointer.removeprefix('#/') or 'body'}: {detail}", faults=[fault])


def vector_problem(error: VectorError) -> ProblemError:
    """The problem of features that were given in the request and make no vector."""
    reason = _OF_VECTOR[error.reason]
    faults = [
        Fault(pointer_to("features", name), reason, KINDS[reason].title)
        for name in error.columns[:_FAULTS_SHOWN_MAX]
    ]
    return problem(reason, str(error), faults=faults)


def rows_problem(tickers: Sequence[str], unfit: Sequence[Unfit]) -> ProblemError:
    """The problem of tickers that can't be predicted; a name that nobody knows comes first."""
    worst = sorted(unfit, key=lambda row: row.fault is not RowFault.UNKNOWN_TICKER)
    faults = [
        Fault(pointer_to("tickers", tickers.index(row.ticker)), row.fault, row.detail)
        for row in worst[:_FAULTS_SHOWN_MAX]
    ]
    more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    return problem(worst[0].fault, worst[0].detail + more, faults=faults)
