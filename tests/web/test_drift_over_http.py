"""What drift's jobs found, over HTTP, from a real PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, get_args

import httpx
import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from services.drift.ledger import Kind
from services.drift.postgres import PostgresLedger
from services.gateway.drift_ledger import WAITING_A_READ
from services.gateway.drift_queries import KINDS
from services.gateway.drift_reports import REPORT_POLICY
from services.gateway.parts import Gateway
from tests.support import drift_history
from tests.support.drift_history import (
    CHANGED_AT,
    RETRAINED_AT,
    WINDOWS,
    data_job,
    drift_database,
    fill,
    performance_job,
)
from tests.support.gateway_memory import make_client, make_gateway

KNOWN = data_job(0).job.job_id
PATHS = (
    "/drift/verdicts", "/drift/history", "/drift/performance", "/drift/actions",
    f"/drift/jobs/{KNOWN}", f"/drift/reports/{KNOWN}", f"/drift/performance/{KNOWN}",
)  # fmt: skip


class World(NamedTuple):
    dsn: str
    home: Path

    def gateway(self, topic_prefix: str = "") -> Gateway:
        return make_gateway(pg_dsn=self.dsn, home=self.home, topic_prefix=topic_prefix)


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    home = tmp_path_factory.mktemp("home")
    with drift_database(server) as dsn:
        fill(dsn, home)
        yield World(dsn, home)


async def get(gateway: Gateway, path: str, **query: object) -> httpx.Response:
    async with make_client(gateway, account=None) as client:
        params = {name: str(value) for name, value in query.items()}
        return await client.get(path, params=params or None)


async def shown(world: World, path: str, **query: object) -> Any:  # noqa: ANN401 - any JSON
    answer = await get(world.gateway(), path, **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_gateway_knows_every_kind_of_job_that_drift_has() -> None:
    assert set(KINDS) == set(get_args(Kind.__value__))


@pytest.mark.kafka
async def test_the_latest_window_of_each_kind_is_shown(world: World) -> None:
    verdicts = (await shown(world, "/drift/verdicts"))["verdicts"]
    assert [(one["job"], one["outcome"], one["has_report"]) for one in verdicts] == [
        ("data", "ok", True),
        ("predictions", "ok", False),
        ("labels", "ok", False),
        ("performance", "ok", False),
        ("parity", "log_cut", False),
    ]
    last = data_job(WINDOWS - 1).job
    assert {one["window_end_us"] for one in verdicts} == {last.window.end_us}
    assert verdicts[0]["job_id"] == last.job_id
    assert (verdicts[0]["ratio"], verdicts[0]["model_version"]) == (last.ratio, 4)


@pytest.mark.kafka
async def test_history_is_paged_without_a_gap_or_a_repetition(world: World) -> None:
    whole = (await shown(world, "/drift/history", limit=500))["results"]
    assert len(whole) == 2 * WINDOWS + 3
    paged: list[Any] = []
    query: dict[str, object] = {"limit": 7}
    while True:
        page = await shown(world, "/drift/history", **query)
        paged += page["results"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert paged == whole
    assert [one["window_end_us"] for one in whole] == sorted(
        (one["window_end_us"] for one in whole), reverse=True
    )


@pytest.mark.kafka
async def test_history_is_filtered_by_job_ticker_outcome_and_alarm(world: World) -> None:
    alarms = (await shown(world, "/drift/history", is_alarm="true", job="data"))["results"]
    assert {one["outcome"] for one in alarms} == {"drift"}
    assert len(alarms) == RETRAINED_AT - CHANGED_AT
    assert all(one["ratio"] > 1 for one in alarms)
    of_ticker = await shown(world, "/drift/history", ticker="MSFT", job="data", outcome="drift")
    assert [one["ratio"] for one in of_ticker["results"]] == [0.2] * len(alarms)
    assert (await shown(world, "/drift/history", ticker="NVDA"))["results"] == []
    assert (await shown(world, "/drift/history", outcome="fallen"))["results"] != []


@pytest.mark.kafka
async def test_performance_has_macro_f1_with_interval_promise_and_best_plain_rule(
    world: World,
) -> None:
    windows = (await shown(world, "/drift/performance", limit=500))["windows"]
    assert [one["model_version"] for one in windows] == [4] * 12 + [3] * 36
    assert {one["outcome"] for one in windows[12:18]} == {"fallen"}
    newest = windows[0]
    assert newest["macro_f1"]["low"] < newest["macro_f1"]["value"] < newest["macro_f1"]["high"]
    assert newest["promised"] == pytest.approx(0.408)
    assert newest["baseline"] == {"name": "last_move", "macro_f1": 0.355}
    assert newest["job_id"] == performance_job(WINDOWS - 1).job.job_id
    page = await shown(world, "/drift/performance", limit=5)
    rest = await shown(world, "/drift/performance", limit=500, cursor=page["next_cursor"])
    assert page["windows"] + rest["windows"] == windows


@pytest.mark.kafka
async def test_a_window_has_the_figures_of_champion_shadow_plain_rules_and_tickers(
    world: World,
) -> None:
    windows = (await shown(world, "/drift/performance", limit=1))["windows"]
    newest = windows[0]
    assert newest["mcc"]["low"] < newest["mcc"]["value"] < newest["mcc"]["high"]
    assert newest["log_loss"]["value"] == pytest.approx(0.77)
    assert newest["calibration_error"]["value"] == pytest.approx(0.02)
    assert newest["pnl_per_row"] == {"value": 1.0, "low": -1.0, "high": 1.5}
    found = await shown(world, f"/drift/performance/{newest['job_id']}")
    assert (found["model_version"], found["counts"]["judged"]) == (4, 17_900)
    predictors = {(one["role"], one["name"]): one for one in found["predictors"]}
    assert list(predictors) == [
        ("champion", "v4"), ("shadow", "v5"), ("served", "v2"), ("baseline", "last_move"),
        ("baseline", "majority"), ("ticker", "AAPL"),
    ]  # fmt: skip
    champion = predictors["champion", "v4"]
    assert champion["macro_f1"] == newest["macro_f1"]
    assert champion["margin"] is None
    rule = predictors["baseline", "last_move"]
    assert (rule["log_loss"], rule["calibration_error"]) == (None, None)
    assert rule["margin"]["low"] < rule["margin"]["value"]
    # Of another label rule it has no figures, and stands there all the same.
    assert predictors["served", "v2"] == {
        "role": "served", "name": "v2", "rows": 0, "macro_f1": None, "mcc": None,
        "log_loss": None, "calibration_error": None, "pnl_per_row": None, "margin": None,
    }  # fmt: skip
    assert found["calibration"] == [{"rows": 17_900, "confidence": 0.5, "right": 0.48}]


@pytest.mark.kafka
async def test_actions_are_shown_with_their_cause_and_what_came_of_them(world: World) -> None:
    latest, first = (await shown(world, "/drift/actions"))["actions"]
    assert (latest["begun"], latest["outcome"], latest["ended_at_us"]) == (
        "cooling_down", None, None,
    )  # fmt: skip
    assert (first["action"], first["begun"], first["outcome"]) == ("retrain", "begun", "promoted")
    assert first["job_id"] == data_job(CHANGED_AT + 1).job.job_id
    assert first["detail"] == "version 4 of direction_10s serves"
    page = await shown(world, "/drift/actions", limit=1)
    assert page["actions"] == [latest]
    rest = await shown(world, "/drift/actions", limit=1, cursor=page["next_cursor"])
    assert (rest["actions"], rest["next_cursor"]) == ([first], None)


@pytest.mark.kafka
async def test_a_job_is_shown_with_its_worst_checks_first(world: World) -> None:
    job = data_job(CHANGED_AT).job
    found = await shown(world, f"/drift/jobs/{job.job_id}")
    assert (found["outcome"], found["checks_left_out"]) == ("drift", 0)
    assert "report_path" not in found
    assert [(one["ticker"], one["column"], one["outcome"]) for one in found["checks"]] == [
        ("AAPL", "spread", "drift"),
        ("MSFT", "spread", "ok"),
        ("MSFT", "depth", "not_enough_rows"),
    ]


@pytest.mark.kafka
async def test_a_report_is_shown_in_a_sandbox_of_its_own(world: World) -> None:
    answer = await get(world.gateway(), f"/drift/reports/{data_job(3).job.job_id}")
    assert (answer.status_code, answer.text) == (200, drift_history.REPORT)
    assert answer.headers["content-security-policy"] == REPORT_POLICY
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert REPORT_POLICY.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in REPORT_POLICY


@pytest.mark.kafka
@pytest.mark.parametrize(
    "path,status",
    [
        (f"/drift/reports/{performance_job(3).job.job_id}", 404),
        (f"/drift/reports/{'0' * 64}", 404),
        (f"/drift/jobs/{'0' * 64}", 404),
        (f"/drift/performance/{'0' * 64}", 404),
        (f"/drift/performance/{KNOWN}", 404),
        ("/drift/reports/..%2F..%2Fetc%2Fpasswd", 404),
        (f"/drift/reports/{KNOWN.upper()}", 404),
        ("/drift/jobs/x%00", 404),
    ],
)
async def test_what_is_no_job_or_has_no_report_is_not_found(
    world: World, path: str, status: int
) -> None:
    answer = await get(world.gateway(), path)
    assert (answer.status_code, answer.json()["reason"]) == (status, "NOT_FOUND")


@pytest.mark.kafka
async def test_a_ledger_that_names_a_file_elsewhere_shows_nothing(world: World) -> None:
    """Whoever could write a row must not read the machine by it."""
    (world.home / "secret.html").write_text("secret", encoding="utf-8")
    (world.home / "drift" / "reports" / "link.html").symlink_to(world.home / "secret.html")
    ledger = PostgresLedger(world.dsn, "forged")
    named = ("/etc/hostname.html", "secret.html", "drift/reports/../../secret.html",
             "drift/reports/link.html", "drift/reports/data/none.html")  # fmt: skip
    for number, path in enumerate(named):
        forged = data_job(number)
        forged = replace(forged, job=replace(forged.job, report_path=path))
        ledger.record(forged)
        answer = await get(
            world.gateway(topic_prefix="forged"), f"/drift/reports/{forged.job.job_id}"
        )
        assert (answer.status_code, answer.json()["reason"]) == (404, "NOT_FOUND"), path
        assert "secret" not in answer.text


@pytest.mark.kafka
async def test_another_deployments_results_are_not_shown(world: World) -> None:
    other = world.gateway(topic_prefix="other")
    assert (await get(other, "/drift/verdicts")).json() == {"verdicts": []}
    assert (await get(other, "/drift/actions")).json() == {"actions": [], "next_cursor": None}
    assert (await get(other, f"/drift/jobs/{KNOWN}")).status_code == 404


@pytest.mark.kafka
async def test_a_database_without_tables_is_named(world: World) -> None:
    empty = make_gateway(pg_dsn=make_conninfo(world.dsn, dbname="postgres"))
    answer = await get(empty, "/drift/verdicts")
    assert (answer.status_code, answer.json()["reason"]) == (503, "NO_LEDGER")
    assert "outcry up" in answer.json()["detail"]


@pytest.mark.kafka
async def test_nothing_can_be_written_by_way_of_these_paths(world: World) -> None:
    with world.gateway().drift._connection() as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("CREATE TABLE outcry.planted ()")
    assert refused.value.sqlstate == "25006"


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_database_every_path_says_so(path: str) -> None:
    answer = await get(make_gateway(), path)
    assert (answer.status_code, answer.json()["reason"]) == (503, "NO_LEDGER")
    assert "OUTCRY_PG_DSN" in answer.json()["detail"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_database_that_is_away_is_told_without_its_address(path: str) -> None:
    gateway = make_gateway(pg_dsn="postgresql://nobody:hidden@127.0.0.1:1/none")
    answer = await get(gateway, path)
    assert (answer.status_code, answer.json()["reason"]) == (503, "LEDGER_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) >= 1
    assert "hidden" not in answer.text
    assert "127.0.0.1" not in answer.text


async def test_no_more_threads_wait_for_the_database_than_are_allowed() -> None:
    gateway = make_gateway(pg_dsn="postgresql://nobody@127.0.0.1:1/none", gateway_drift_reads_max=1)
    with ExitStack() as taken:
        for _ in range(1 + WAITING_A_READ):
            taken.enter_context(gateway.drift._seats)
        answer = await get(gateway, "/drift/verdicts")
    assert (answer.status_code, answer.json()["reason"]) == (503, "OVERLOADED")
    assert (await get(gateway, "/drift/verdicts")).json()["reason"] == "LEDGER_UNAVAILABLE"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=501", "limit=1e2", "limit=-1", "limit=" + "9" * 5_000, "limit=1&limit=2",
        "cursor=1", "cursor=1-" + "g" * 64, "cursor=" + "9" * 18 + "-" + "a" * 64, "job=all",
        "ticker=", "ticker=a%20b", "outcome=%27", "outcome=", "is_alarm=1", "newest=true",
    ],
)  # fmt: skip
async def test_a_query_that_is_not_understood_is_refused(query: str) -> None:
    answer = await get(make_gateway(), f"/drift/history?{query}")
    document = answer.json()
    assert (answer.status_code, document["reason"]) == (400, "INVALID_PARAMETER"), document
    assert document["errors"][0]["pointer"].startswith("query:")


@pytest.mark.parametrize("path", ["/drift/performance", "/drift/actions"])
async def test_pages_take_no_filter_that_they_do_not_have(path: str) -> None:
    answer = await get(make_gateway(), path, job="data")
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_PARAMETER")
