"""Paths of what drift's jobs found: read only. Not async: the framework calls these on a thread."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.door.problems import ProblemError
from services.gateway.answers import json_answer
from services.gateway.documents import problem_responses
from services.gateway.drift_models import (
    DriftActions,
    DriftHistory,
    DriftJobChecks,
    DriftPerformance,
    DriftVerdicts,
    PerformanceFigures,
)
from services.gateway.drift_queries import (
    HISTORY_PARAMETERS,
    PAGING_PARAMETERS,
    history_query,
    paging_query,
    require_job_id,
)
from services.gateway.drift_reports import show_report
from services.gateway.parts import Here
from services.gateway.problems import HttpReason, problem

_READ: Final = (HttpReason.NO_LEDGER, HttpReason.LEDGER_UNAVAILABLE)

router = APIRouter(prefix="/drift", tags=["drift"])


@router.get(
    "/verdicts",
    summary="Show the latest verdicts",
    responses={200: {"model": DriftVerdicts}, **problem_responses(*_READ)},
)
def show_verdicts(here: Here) -> Response:
    """Of each kind of job that has run, what it last found."""
    return json_answer(here.drift.latest())


@router.get(
    "/history",
    summary="List what was found",
    responses={
        200: {"model": DriftHistory},
        **problem_responses(HttpReason.INVALID_PARAMETER, *_READ),
    },
    openapi_extra=HISTORY_PARAMETERS,
)
def list_history(request: Request, here: Here) -> Response:
    """The latest windows first."""
    return json_answer(here.drift.history(history_query(request.query_params)))


@router.get(
    "/performance",
    summary="Show performance over time",
    responses={
        200: {"model": DriftPerformance},
        **problem_responses(HttpReason.INVALID_PARAMETER, *_READ),
    },
    openapi_extra=PAGING_PARAMETERS,
)
def show_performance(request: Request, here: Here) -> Response:
    """Figures of the version that served, the latest windows first."""
    return json_answer(here.drift.performance(paging_query(request.query_params)))


@router.get(
    "/performance/{job_id}",
    summary="Show a window's figures",
    responses={
        200: {"model": PerformanceFigures},
        **problem_responses(HttpReason.NOT_FOUND, *_READ),
    },
)
def show_figures(here: Here, job_id: str) -> Response:
    """Of the version that served, of its shadows, of plain rules and of each ticker."""
    found = here.drift.figures(require_job_id(job_id))
    if found is None:
        raise _no_job()
    return json_answer(found)


@router.get(
    "/actions",
    summary="List what alarms caused",
    responses={
        200: {"model": DriftActions},
        **problem_responses(HttpReason.INVALID_PARAMETER, *_READ),
    },
    openapi_extra=PAGING_PARAMETERS,
)
def list_actions(request: Request, here: Here) -> Response:
    """Retrainings and rollbacks, the latest first."""
    return json_answer(here.drift.actions(paging_query(request.query_params)))


@router.get(
    "/jobs/{job_id}",
    summary="Show a job's checks",
    responses={
        200: {"model": DriftJobChecks},
        **problem_responses(HttpReason.NOT_FOUND, *_READ),
    },
)
def show_job(here: Here, job_id: str) -> Response:
    """The worst first; the rest is counted."""
    found = here.drift.job(require_job_id(job_id))
    if found is None:
        raise _no_job()
    return json_answer(found)


@router.get(
    "/reports/{job_id}",
    summary="Show a job's report",
    response_class=Response,
    responses={
        200: {"content": {"text/html": {}}},
        **problem_responses(HttpReason.NOT_FOUND, *_READ),
    },
)
def show_job_report(here: Here, job_id: str) -> Response:
    """A page for people, in a sandbox: its scripts reach nothing."""
    path = here.drift.report_path(require_job_id(job_id))
    if path is None:
        raise _no_job()
    return show_report(here.settings.home, path)


def _no_job() -> ProblemError:
    return problem(HttpReason.NOT_FOUND, "there is no such job; GET /drift/history lists them")
