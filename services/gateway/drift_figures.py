"""Figures of performance, from the report that drift's ledger keeps of a window."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.gateway.views import View

FIGURES: Final[Mapping[str, str]] = {
    "macro_f1": "macro_f1",
    "mcc": "mcc",
    "log_loss": "log_loss",
    "calibration_error": "ece",
    "pnl_per_row": "pnl_per_row",
}
"""By what the answer calls them: as the report does."""
PREDICTORS_MAX: Final = 200
"""Of one window; the report itself is bounded by its writer."""


def with_figures(row: View) -> View:
    """A window's figures, as far as its report has them."""
    figures, tests, rivals = row.pop("figures"), row.pop("tests"), row.pop("rivals")
    scores = {
        str(rival["name"]): float(rival["figures"]["scores"]["macro_f1"]) for rival in rivals or ()
    }
    best = max(scores, key=lambda name: scores[name], default=None)
    promised = [test["expected"] for test in tests or () if test["name"] == "promise"]
    return (
        row
        | {"rows": figures["rows"] if figures else None}
        | _figures(figures)
        | {
            "promised": promised[0] if promised else None,
            "baseline": None if best is None else {"name": best, "macro_f1": scores[best]},
        }
    )


def figures_of(job: View, report: Mapping[str, Any]) -> View:
    """All that one window's report says of predictors."""
    kept = ("job_id", "model", "model_version", "window_begin_us", "window_end_us")
    return {name: job[name] for name in (*kept, "outcome", "detail")} | {
        "memory_s": report.get("memory_s"),
        "block_s": report.get("block_s", 0),
        "counts": report.get("counts", {}),
        "predictors": list(_predictors(job, report))[:PREDICTORS_MAX],
        "calibration": report.get("calibration", []),
    }


def _predictors(job: View, report: Mapping[str, Any]) -> Iterator[View]:
    own = report.get("figures")
    if own is not None:
        yield _predictor("champion", f"v{job['model_version']}", own)
    for version in report.get("versions", ()):
        name = f"v{version['version']}"
        yield _predictor(version["role"], name, version["figures"], version["margin"])
    for rival in report.get("rivals", ()):
        yield _predictor("baseline", rival["name"], rival["figures"], rival["margin"])
    for ticker in report.get("tickers", ()):
        yield _predictor("ticker", ticker["ticker"], ticker["figures"])


def _predictor(
    role: str, name: str, figures: Mapping[str, Any] | None, margin: Mapping[str, Any] | None = None
) -> View:
    head: View = {"role": role, "name": name, "rows": figures["rows"] if figures else 0}
    shown = None if margin is None else {key: margin[key] for key in ("value", "low", "high")}
    return head | _figures(figures) | {"margin": shown}


def _figures(figures: Mapping[str, Any] | None) -> View:
    if figures is None:
        return dict.fromkeys(FIGURES)
    scores, intervals = figures["scores"], figures["metrics"] or {}
    return {
        shown: _figure(scores.get(name), intervals.get(name)) for shown, name in FIGURES.items()
    }


def _figure(value: float | None, interval: Mapping[str, float] | None) -> View | None:
    if value is None:
        return None
    low, high = (interval["low"], interval["high"]) if interval else (None, None)
    return {"value": value, "low": low, "high": high}
