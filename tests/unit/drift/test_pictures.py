"""What stands in place of a report that can't be drawn; `integration/drift` has Evidently's."""

from pathlib import Path

import pytest

from services.drift import pictures
from services.drift.pictures import Order, draw
from tests.support.drift_panels import market, reference_of, window_of

PANEL = market(1)
ORDER = Order(
    "data: drift",
    ("an alarm <b>here</b>",),
    reference_of(PANEL).part(0, 50),
    window_of(PANEL).part(0, 50),
    ((0, 0), (1, 2)),
)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the place of Evidently's process; a test writes it."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder / "drawer.py"


def test_a_page_has_what_was_decided_on_top_and_its_json_beside_it(
    program: Path, tmp_path: Path
) -> None:
    program.write_text(
        "import pathlib, sys\n"
        "given, html, document = map(pathlib.Path, sys.argv[1:])\n"
        "assert given.stat().st_size > 0\n"
        "html.write_text('<html><body>pictures</body></html>')\n"
        "document.write_text('{}')\n"
    )
    page = tmp_path / "reports" / "one.html"
    assert draw(ORDER, page, "drawer") == "made"
    text = page.read_text()
    assert text.index("data: drift") < text.index("pictures")
    assert "an alarm &lt;b&gt;here&lt;/b&gt;" in text
    assert page.with_suffix(".json").read_text() == "{}"


@pytest.mark.parametrize(
    "code,why",
    [
        ("raise ValueError('odd values')", "Evidently failed (1): ValueError: odd values"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("import time; time.sleep(60)", "took more than"),
        ("pass", "Evidently drew nothing"),
    ],
)
def test_a_drawing_that_fails_says_why_and_leaves_nothing(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    if "sleep" in code:
        monkeypatch.setattr(pictures, "DRAW_S_MAX", 1)
    program.write_text(code)
    page = tmp_path / "reports" / "one.html"
    said = draw(ORDER, page, "drawer")
    assert said.startswith("not made: ")
    assert why in said
    assert not page.exists()
