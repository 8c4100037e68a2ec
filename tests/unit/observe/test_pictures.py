"""Dashboards drawn without a Grafana."""

from services.tools.observe.panels import per_second
from services.tools.observe.pictures import draw, said
from services.tools.observe.trading_boards import EXCHANGE


def test_a_line_is_called_what_grafana_calls_it() -> None:
    legend = per_second("outcry_records_consumed_total", "room, topic").legend
    assert said(legend, {"room": "risk", "topic": "accounts"}) == "risk accounts"
    assert said(f"{legend} p99", {"room": "risk"}) == "risk  p99"
    assert said("", {"room": "risk"}) == ""


def test_without_a_prometheus_the_panels_are_empty_and_the_picture_is_there() -> None:
    assert draw(EXCHANGE, "http://127.0.0.1:1", 60.0).startswith(b"\x89PNG")
