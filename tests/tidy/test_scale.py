import msgspec
import pytest

from services.tools.bench.run_all import JSON_NAME, Run
from tests.tidy.scale import figures, read_figures
from tests.tidy.tree import ROOT

ADR = "PostgreSQL's log grows by some 2 KB a command"
RUN = msgspec.json.decode((ROOT / "docs" / JSON_NAME).read_bytes(), type=Run)
PAGE = """
Processor time a command, user and system: Kafka 100 us, risk 50, recorder 20, ingest 10, matcher 5,
PostgreSQL 4, registry 1.
| commands answered, 9,000/s offered | 8,000/s | |
| processor time a trade | features 20 us, broker 10 us, materializer 10 us, recorder 5 us |
records in `orders` = 1,000 commands + 805 dead letters; 3,000 execution reports and 250 trades
"""


def test_the_figures_of_the_pages_are_found() -> None:
    found = figures()
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"{found.commands_a_second:,}/s" in text
    assert {stage.name for stage in found.stages} >= {"Kafka", "risk", "matcher", "recorder"}


def test_the_cost_of_a_command_is_the_sum_of_its_stages_and_its_share_of_trades() -> None:
    found = read_figures(PAGE, ADR, RUN)
    assert found.command_us == 190 + 40 * 0.25
    assert (found.commands_a_second, found.row_kb) == (8_000, 2.0)


@pytest.mark.parametrize("word", ["risk 50", "answered", "processor time a trade", "trades\n"])
def test_a_figure_that_a_page_no_longer_has_is_missed(word: str) -> None:
    with pytest.raises(LookupError, match="no page has the figure"):
        read_figures(PAGE.replace(word, "gone"), ADR, RUN)


def test_a_run_without_the_bytes_of_stages_is_missed() -> None:
    assert read_figures(PAGE, ADR, RUN).bytes_out.keys() == {"ingest", "risk", "matcher"}
    run = msgspec.structs.replace(RUN, found=[one for one in RUN.found if one.name != "stages"])
    with pytest.raises(LookupError, match="bench stages"):
        read_figures(PAGE, ADR, run)
