from http import HTTPStatus

import orjson
import pytest
from starlette.exceptions import HTTPException

from services.domain.reasons import Reason
from services.door.problems import problem_of
from services.gateway.bodies import FIELD_REASONS
from services.gateway.problems import KINDS, HttpReason, problem


def test_every_reason_has_a_kind_and_every_kind_a_reason_of_the_closed_list() -> None:
    assert set(HttpReason) <= set(KINDS)
    assert set(KINDS) - set(HttpReason) <= set(Reason.__members__)
    assert set(FIELD_REASONS.values()) <= set(KINDS)


def test_a_word_means_one_thing_here_and_in_the_domain() -> None:
    assert not set(HttpReason) & set(Reason.__members__)


@pytest.mark.parametrize("reason", KINDS)
def test_a_problem_document_has_all_members_of_the_standard(reason: str) -> None:
    response = problem(reason, "why").response()
    document = orjson.loads(response.body)
    assert response.media_type == "application/problem+json"
    assert document["status"] == response.status_code == HTTPStatus(KINDS[reason].status)
    assert document["type"] == "urn:outcry:problem:" + reason.lower().replace("_", "-")
    assert (document["title"], document["detail"]) == (KINDS[reason].title, "why")
    assert document["reason"] == reason


@pytest.mark.parametrize("reason", [r for r in KINDS if KINDS[r].status in (503, 504)])
def test_what_may_pass_says_when_to_come_back(reason: str) -> None:
    assert int(problem(reason, "why").response().headers["Retry-After"]) >= 1


@pytest.mark.parametrize("status,reason", [(404, "NOT_FOUND"), (405, "METHOD_NOT_ALLOWED")])
def test_what_the_framework_raises_becomes_a_problem(status: int, reason: str) -> None:
    found = problem_of(HTTPException(status, headers={"Allow": "GET"}), KINDS)
    assert (found.status_code, found.reason) == (status, reason)


def test_an_error_nobody_foresaw_is_a_problem_too() -> None:
    assert problem_of(HTTPException(418), KINDS).reason == "INTERNAL_ERROR"
