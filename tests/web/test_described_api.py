import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from jsonschema_rs import Draft202012Validator

from services.gateway.app import describe, make_app
from services.gateway.parts import Gateway
from tests.support.described_api import check_answers
from tests.support.gateway_memory import make_gateway, serving

PATH = "/candles/{ticker}"


def faults_of_examples(document: dict[str, Any]) -> dict[tuple[str, str, str], list[str]]:
    """What is wrong with the example of each JSON answer that is no problem."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                answer = response.get("content", {}).get("application/json")
                if answer is None:
                    continue
                schema = answer["schema"] | {"components": document["components"]}
                faults = [
                    one.message
                    for one in Draft202012Validator(schema).iter_errors(answer.get("example"))
                ]
                found[method, path, status] = faults
    return found


def test_each_answer_has_an_example_that_is_one() -> None:
    document = describe(make_app(make_gateway()))
    faults = faults_of_examples(document)
    assert not any(faults.values()), faults
    pages = {("get", "/drift/reports/{job_id}", "200")}
    assert (
        set(faults) - {("get", "/readyz", "503")}
        == {
            (method, path, status)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            for status in operation["responses"]
            if status.startswith("2")
        }
        - pages
    )


def test_an_example_that_is_not_the_answer_s_is_found() -> None:
    document = json.loads(json.dumps(describe(make_app(make_gateway()))))
    answers = document["paths"]["/time"]["get"]["responses"]["200"]["content"]["application/json"]
    at = ("get", "/time", "200")
    for planted in ({"time_us": "now"}, {"time_us": 1, "zone": "UTC"}, None):
        answers["example"] = planted
        assert faults_of_examples(document)[at]


async def test_an_answer_that_openapi_does_not_describe_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the check that the stack is put to (test_whole_path.py), on one path in memory."""
    monkeypatch.setattr("services.gateway.service.make_app", _app_that_hides_400)
    async with serving(make_gateway()) as service:
        code, said = await check_answers(
            f"http://127.0.0.1:{service.port}", tmp_path, 60,
            "--include-path", PATH, "--phases", "coverage",
        )  # fmt: skip
    assert code != 0
    assert "Undocumented status code" in said, said


def _app_that_hides_400(gateway: Gateway) -> FastAPI:
    app = make_app(gateway)
    del describe(app)["paths"][PATH]["get"]["responses"]["400"]
    return app
