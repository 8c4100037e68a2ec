"""Dashboards drawn without a Grafana."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from matplotlib.figure import Figure

from services.tools.observe.panels import per_second
from services.tools.observe.pictures import draw, draw_panel, said
from services.tools.observe.trading_boards import EXCHANGE


def test_a_line_is_called_what_grafana_calls_it() -> None:
    legend = per_second("outcry_records_consumed_total", "room, topic").legend
    assert said(legend, {"room": "risk", "topic": "accounts"}) == "risk accounts"
    assert said(f"{legend} p99", {"room": "risk"}) == "risk  p99"
    assert said("", {"room": "risk"}) == ""


def test_without_a_prometheus_the_panels_are_empty_and_the_picture_is_there() -> None:
    assert draw(EXCHANGE, "http://127.0.0.1:1", 60.0).startswith(b"\x89PNG")


@contextmanager
def prometheus_with(values: list[float]) -> Iterator[str]:
    """The address of something that answers each query with this one line."""
    line = {"metric": {}, "values": [[at, str(value)] for at, value in enumerate(values)]}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": {"result": [line]}}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Requests are not logged."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [3.0, 0.0, 9.0]])
def test_a_line_lies_within_its_panel_with_zero_above_the_frame(values: list[float]) -> None:
    axes = Figure().add_subplot()
    with prometheus_with(values) as address:
        draw_panel(axes, EXCHANGE.panels[0], address, 60.0)
    bottom, top = axes.get_ylim()
    assert bottom < 0.0 <= max(values) < top
    assert axes.lines
    assert "no data" not in [text.get_text() for text in axes.texts]


def test_a_panel_of_what_is_no_number_says_that_it_has_no_data() -> None:
    axes = Figure().add_subplot()
    with prometheus_with([float("nan")] * 3) as address:
        draw_panel(axes, EXCHANGE.panels[0], address, 60.0)
    assert [text.get_text() for text in axes.texts] == ["no data"]
