"""Shapes of what is said about drift, as OpenAPI shows them."""

from pydantic import Field

from services.gateway.models import Answer

NEXT_CURSOR = Field(description="Where the next page begins; null: there is none.")


class DriftJob(Answer):
    """What was looked at, and what came of it."""

    job_id: str
    job: str
    model: str
    model_version: int
    window_begin_us: int = Field(description="Event time, included.")
    window_end_us: int = Field(description="Event time, not included.")
    outcome: str
    is_alarm: bool
    ratio: float | None = Field(
        description="Of the worst check, above 1 is an alarm; null: nothing was tested, or it is"
        " beyond any number."
    )
    detail: str
    has_report: bool = Field(description="Whether GET /drift/reports/{job_id} had a page to show.")
    recorded_at_us: int = Field(description="Wall clock of the database.")


class DriftVerdicts(Answer):
    verdicts: list[DriftJob]


class DriftHistory(Answer):
    results: list[DriftJob]
    next_cursor: str | None = NEXT_CURSOR


class DriftCheck(Answer):
    """One thing that a job looked at."""

    ticker: str = Field(description="Empty: all tickers together.")
    column: str
    family: str
    outcome: str
    statistic: float | None
    threshold: float | None
    ratio: float | None
    effect: float | None
    detail: str


class DriftJobChecks(DriftJob):
    checks: list[DriftCheck] = Field(description="The worst first.")
    checks_left_out: int


class Figure(Answer):
    """A figure of some rows."""

    value: float
    low: float | None = Field(description="Of the 95 % interval; null: too few blocks for one.")
    high: float | None


class BestBaseline(Answer):
    name: str
    macro_f1: float


class PerformanceWindow(Answer):
    """The version that served in one window."""

    job_id: str
    model: str
    model_version: int
    window_begin_us: int
    window_end_us: int
    outcome: str
    is_alarm: bool
    ratio: float | None
    rows: int | None = Field(description="Statements that had a label.")
    macro_f1: Figure | None = Field(description="Null: nothing could be judged.")
    mcc: Figure | None
    log_loss: Figure | None
    calibration_error: Figure | None = Field(description="Expected, of ten bins.")
    pnl_per_row: Figure | None = Field(
        description="Net of half the spread, in 1/20000 dollar a share and row."
    )
    promised: float | None = Field(description="Of the manifest; null: it was not held against it.")
    baseline: BestBaseline | None = Field(description="The best plain rule on the same rows.")


class PredictorFigures(Answer):
    """One predictor on some rows of a window."""

    role: str = Field(
        description="champion: the version that is judged. served, shadow: another version, on its"
        " own rows. baseline: a plain rule on the champion's rows. ticker: the champion on one.",
        examples=["champion", "shadow", "baseline"],
    )
    name: str = Field(description="Of the version, the rule or the ticker.")
    rows: int
    macro_f1: Figure | None
    mcc: Figure | None
    log_loss: Figure | None = Field(description="Null: a plain rule states no probabilities.")
    calibration_error: Figure | None
    pnl_per_row: Figure | None
    margin: Figure | None = Field(
        description="The champion's macro-F1 less this rule's; of another version its own less the"
        " champion's, on the rows that both spoke of; null: too few blocks, or the champion itself."
    )


class CalibrationBin(Answer):
    """How sure the champion was, and how often it was right."""

    rows: int
    confidence: float
    right: float


class PerformanceFigures(Answer):
    """All figures of one window of performance."""

    job_id: str
    model: str
    model_version: int
    window_begin_us: int
    window_end_us: int
    outcome: str
    detail: str
    memory_s: int | None
    block_s: int
    counts: dict[str, int] = Field(description="What became of records and of statements.")
    predictors: list[PredictorFigures] = Field(description="The champion first.")
    calibration: list[CalibrationBin]


class DriftPerformance(Answer):
    windows: list[PerformanceWindow]
    next_cursor: str | None = NEXT_CURSOR


class DriftAction(Answer):
    """What an alarm caused."""

    action_id: str
    action: str = Field(examples=["retrain", "rollback"])
    job_id: str = Field(description="The alarm.")
    model: str
    model_version: int
    begun: str = Field(description="begun, or cooling_down: left out, since another is too recent.")
    begun_at_us: int
    outcome: str | None = Field(description="Null: it has not ended, or its process died.")
    detail: str
    ended_at_us: int | None


class DriftActions(Answer):
    actions: list[DriftAction]
    next_cursor: str | None = NEXT_CURSOR
