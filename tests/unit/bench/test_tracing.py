import io

from rich.console import Console

from services.runtime.spans import read_header
from services.tools.bench.pipeline_load import trace_maker
from services.tools.bench.tracing import TracingReport, Way, tracing_table
from services.tools.bench.tries import spread_of


def test_one_command_of_so_many_has_a_trace_of_its_own_that_rooms_keep() -> None:
    headers = [trace_maker(3)(place) for place in range(9)]
    kept = [header for header in headers if header is not None]
    assert [header is not None for header in headers] == [True, False, False] * 3
    found = [read_header(header) for header in kept]
    assert None not in found
    assert len(set(kept)) == 3
    assert [trace_maker(0)(place) for place in range(3)] == [None] * 3


def test_the_table_shows_each_way_with_its_spread() -> None:
    figures = spread_of([1.0, 2.0, 4.0])
    way = Way("off", figures, figures, figures, figures, figures)
    out = io.StringIO()
    Console(file=out, width=200).print(tracing_table(TracingReport(3, 40_000, (way,))))
    assert "off" in out.getvalue()
    assert "2 us [1, 4]" in out.getvalue()
