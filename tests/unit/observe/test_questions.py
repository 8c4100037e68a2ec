"""What dashboards and rules ask: of metrics that are, in PromQL that is, with runbook pages."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.tools.observe.catalogue import PROCESS, all_metrics, series_of
from services.tools.observe.dashboards import DASHBOARDS
from services.tools.observe.prometheus import RULES, configuration
from services.tools.observe.questions import (
    NOT_YET,
    Question,
    metric_of,
    panel_questions,
    rule_questions,
    selectors_of,
)
from tests.support.optional import require_program

ROOT = Path(__file__).parents[3]
PROMETHEUS_LABELS = {"job", "instance", "room", "le"}
"""Of a scrape, and of a histogram's buckets."""
PROMETHEUS_SERIES = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}

QUESTIONS = [*panel_questions(), *rule_questions()]


def strangers(expression: str) -> list[str]:
    """Metrics and labels of an expression that nobody shows."""
    listed = {series: one for one in all_metrics().values() for series in series_of(one)}
    recorded = {question.place for question in rule_questions() if question.origin == "recording"}
    found = []
    for selector in selectors_of(expression):
        name = metric_of(selector)
        if name in recorded or name in PROMETHEUS_SERIES or name in PROCESS:
            continue
        if name not in listed:
            found.append(name)
            continue
        used = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector.partition("{")[2]))
        found += sorted(used - set(listed[name].labels) - PROMETHEUS_LABELS)
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.place)
def test_a_query_asks_for_metrics_and_labels_that_there_are(question: Question) -> None:
    assert selectors_of(question.expression)
    assert not strangers(question.expression)


def test_a_query_of_a_metric_or_label_that_nobody_shows_would_be_found() -> None:
    assert strangers("sum(rate(outcry_orderz_total[5m]))") == ["outcry_orderz_total"]
    assert strangers('outcry_orders_total{account="alice"}') == ["account"]
    assert strangers("outcry:made_up:ratio_rate5m") == ["outcry:made_up:ratio_rate5m"]
    assert strangers("outcry_fold_seconds") == ["outcry_fold_seconds"]  # a histogram's parts only


def test_what_need_not_give_anything_is_asked() -> None:
    asked = {s for question in QUESTIONS for s in selectors_of(question.expression)}
    assert NOT_YET.keys() <= asked | {metric_of(selector) for selector in asked}


def test_every_dashboard_has_a_name_of_its_own_and_panels_that_say_what_they_mean() -> None:
    assert len({dashboard.name for dashboard in DASHBOARDS}) == len(DASHBOARDS) == 5
    for dashboard in DASHBOARDS:
        titles = [panel.title for panel in dashboard.panels]
        assert len(set(titles)) == len(titles)
        assert all(panel.meaning.endswith(".") for panel in dashboard.panels)
        figures = [panel.is_figure for panel in dashboard.panels]
        assert figures == sorted(figures, reverse=True), "figures fill the first row"


def rules() -> Iterator[dict[str, Any]]:
    content = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))
    for group in content["groups"]:
        yield from group["rules"]


def anchors(page: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_urgent_it_is_and_where_the_runbook_has_it(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    address = rule["annotations"]["runbook_url"].removeprefix("{{ $externalLabels.runbook_base }}")
    page, _, anchor = address.partition("#")
    assert anchor in anchors((ROOT / page).read_text(encoding="utf-8"))


def test_every_alert_has_series_for_which_it_fires_and_series_for_which_it_does_not() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for file in (RULES / "tests").glob("*.yml"):
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for case in test.get("alert_rule_test", ()):
                (fires if case["exp_alerts"] else quiet).add(case["alertname"])
    assert fires == quiet == {rule["alert"] for rule in rules()}


def test_promtool_finds_every_rule_to_fire_where_it_should_and_nowhere_else() -> None:
    promtool = require_program("promtool")
    files = sorted((RULES / "tests").glob("*.yml"))
    ended = subprocess.run(
        [promtool, "test", "rules", *files], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (ended.stdout + ended.stderr).count("SUCCESS") == len(files)


def test_promtool_would_find_a_rule_that_does_not_fire(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    for name in ("alerts.yml", "recording.yml"):
        text = (RULES / name).read_text(encoding="utf-8")
        planted = text.replace(
            "(outcry_records_missing_total[1d])) > 0", "(outcry_records_missing_total[1d])) > 9"
        )
        (tmp_path / name).write_text(planted, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    loss = (RULES / "tests" / "loss.yml").read_text(encoding="utf-8")
    (tmp_path / "tests" / "loss.yml").write_text(loss, encoding="utf-8")
    ended = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests" / "loss.yml"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "RecordsMissing" in ended.stdout + ended.stderr


def test_promtool_would_find_an_outage_that_counts_as_kept(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    (tmp_path / "tests").mkdir()
    for name in ("alerts.yml", "recording.yml", "tests/outages.yml"):
        text = (RULES / name).read_text(encoding="utf-8")
        planted = text.replace('(max(outcry_ready{room="gateway"}) or vector(0))', "vector(1)")
        (tmp_path / name).write_text(planted, encoding="utf-8")
    ended = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests" / "outages.yml"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "RequestsFailedFast" in said
    assert "OrdersLateFast" not in said


def test_promtool_can_read_every_query_of_a_dashboard(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    rules = [
        {"record": f"panel:{number}", "expr": question.expression}
        for number, question in enumerate(panel_questions())
    ]
    file = tmp_path / "panels.yml"
    for expression, is_readable in (("", True), ("sum(rate(", False)):
        planted = [{"record": "panel:planted", "expr": expression}] if expression else []
        groups = {"groups": [{"name": "panels", "rules": rules + planted}]}
        file.write_text(json.dumps(groups), encoding="utf-8")
        ended = subprocess.run([promtool, "check", "rules", file], check=False, capture_output=True)
        assert (ended.returncode == 0) == is_readable, ended.stderr.decode()


def test_promtool_can_read_the_configuration(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    text = configuration({"risk": 9001, "risk-standby": 9002}, 0.5)
    (tmp_path / "prometheus.yml").write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yml"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    labels = [target["labels"]["room"] for target in scraped(text)]
    assert labels == ["risk", "risk"]


def test_promtool_can_read_what_the_runbook_says_of_an_alertmanager(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    (stanza,) = re.findall(r"```yaml\n(.*?)```", runbook, re.DOTALL)
    container = (ROOT / "infra" / "docker" / "prometheus.yml").read_text(encoding="utf-8")
    told, shipped = yaml.safe_load(stanza), yaml.safe_load(container)
    assert "alerting" not in shipped, "an address of nobody would be tried for ever"
    shipped["global"] |= told.pop("global")
    shipped["rule_files"] = [str(RULES / "alerts.yml"), str(RULES / "recording.yml")]
    (tmp_path / "prometheus.yml").write_text(json.dumps(shipped | told), encoding="utf-8")
    ended = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yml"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    base = shipped["global"]["external_labels"].keys()
    assert base == set(re.findall(r"externalLabels\.(\w+)", (RULES / "alerts.yml").read_text()))


def scraped(text: str) -> list[dict[str, Any]]:
    configs: list[dict[str, Any]] = json.loads(text)["scrape_configs"]
    return [target for config in configs for target in config["static_configs"]]
