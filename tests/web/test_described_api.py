from pathlib import Path

import pytest
from fastapi import FastAPI

from services.gateway.app import describe, make_app
from services.gateway.parts import Gateway
from tests.support.described_api import check_answers
from tests.support.gateway_memory import make_gateway, serving

PATH = "/candles/{ticker}"


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
