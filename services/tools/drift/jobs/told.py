"""What a run of drift's jobs says, for people, for the room that starts it, and as an exit code."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal

import msgspec

from services.drift.core.windows import Window
from services.drift.ledger import Kind

KINDS: Final[tuple[Kind, ...]] = (
    "data", "quality", "predictions", "labels", "performance", "parity",
)  # fmt: skip
EXIT_OK: Final = 0
EXIT_ALARM: Final = 3
"""1 and 2 are those of a command that failed, or was typed wrongly."""
EXIT_UNJUDGED: Final = 4

type Recorded = Literal["new", "same", "kept", "differs", "waits", "none"]
"""`new`: recorded now. `same`: judged again, to the byte as recorded. `kept`: recorded before, and
not judged again. `differs`: another result is recorded, and stays. `waits`: it may still change.
`none`: there is nothing to record."""


class NoJudgement(StrEnum):
    """Why a job has no window to speak of, beside the outcomes of windows."""

    NO_MODEL = "no_model"
    """The registry has no champion: nothing serves, so nothing is a reference."""
    MODEL_REFUSED = "model_refused"
    """The champion can't be read."""
    NO_WINDOW_YET = "no_window_yet"
    """No window after the reference is over."""
    PARTLY_SERVED = "partly_served"
    """The window began before the version's first answer: it is no window of this one alone."""
    LOG_CUT = "log_cut"
    """Retention may have taken predictions of the window: what is missing was perhaps said."""
    DAMAGED_ROWS = "damaged_rows"
    """The lake holds rows, or files, that no fold gives: an alarm of `quality`."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One job on one window."""

    kind: Kind
    model: str = ""
    version: int | None = None
    window: Window | None = None
    """None: there was none to look at."""
    outcome: str
    is_alarm: bool = False
    detail: str = ""
    ratio: float | None = None
    ratios: dict[str, float] = {}
    """The greatest by ticker; all tickers together have no name."""
    scores: dict[str, dict[str, float]] = {}
    """Of performance: of the version on what it served, by ticker and name, as the ratios."""
    families: tuple[str, ...] = ()
    """Those of the checks that alarm."""
    counts: dict[str, int] = {}
    recorded: Recorded = "none"
    job_id: str = ""
    report_path: str = ""
    """Below the deployment's folder."""
    report: str = ""
    """`made`, `there`, or why there is none; empty: this kind has none, or none was asked for."""


def exit_code(told: Sequence[Told]) -> int:
    """0 only if something was judged, and all of it is `ok`."""
    if any(one.is_alarm for one in told):
        return EXIT_ALARM
    if not told or any(one.outcome != "ok" for one in told):
        return EXIT_UNJUDGED
    return EXIT_OK
