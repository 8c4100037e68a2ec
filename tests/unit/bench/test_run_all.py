"""`outcry bench all`: what it keeps of each benchmark, and the pages that are drawn from it."""

import subprocess
from base64 import b64decode
from pathlib import Path
from re import findall

import msgspec
import pytest
from rich.table import Table

from services.tools.bench import run_all as module
from services.tools.bench.log_reference import LogReference
from services.tools.bench.pipeline import Latency, PipelineReport, Throughput
from services.tools.bench.run_all import (
    ENTRIES,
    HTML_NAME,
    JSON_NAME,
    PAGE_NAME,
    Entry,
    Found,
    Machine,
    Run,
    run_all,
    wait_until_quiet,
)
from services.tools.bench.run_page import (
    _SHOWN,
    draw_html,
    draw_page,
    limit_of,
    markdown_of,
    write_pages,
)
from services.tools.bench.run_plots import IMAGES, draw_plot, file_of, is_drawn, words_of
from services.tools.bench.scaling import MEANINGS, ScalingRow
from services.tools.bench.stages import StageCost
from services.tools.bench.tries import Spread
from tests.tidy.command_lints import parse

MACHINE = Machine("a processor", 2, 24.0, "Linux", {"Python": "3.13.0"})
ONE = Spread(1.0, 1.0, 1.0)
STAGES = msgspec.Raw(msgspec.json.encode([StageCost("risk", ONE, ONE, ONE, 2.5, 300.0)]))


def pipeline() -> PipelineReport:
    return PipelineReport(
        LogReference(1, 1.0, 1.0, 1.0),
        Latency(300, 1_000, 50.0, 80.0, 90.0, 100.0, 1.0),
        Throughput(5_000, 20_000, 4_000.0, 3_900.0, 4_100.0, 3_800.0,
                   {"kafka": 100.0, "risk": 80.0, "matcher": 20.0}),
        (),
        0,
    )  # fmt: skip


def run_of(*found: Found) -> Run:
    return Run("2026-11-26 21:00", "abc1234", True, MACHINE, list(found))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_a_command_that_exists_and_has_a_table(entry: Entry) -> None:
    assert entry.name in _SHOWN
    for options in (entry.quick, entry.full):
        parse(["bench", entry.name, *options])


def test_what_a_benchmark_prints_is_kept_and_one_that_fails_keeps_its_cause(
    tmp_path: Path,
) -> None:
    entries = (
        Entry("stages", "costs", ("--commands", "50", "--repeats", "1"), (), 100),
        Entry("no-such", "nothing", (), (), 100),
    )
    said: list[str] = []
    run = run_all(quick=True, only=(), folder=tmp_path, say=said.append, entries=entries)
    assert [one.command for one in run.found] == [
        "outcry bench stages --commands 50 --repeats 1",
        "outcry bench no-such",
    ]
    assert [bool(one.error) for one in run.found] == [False, True]
    assert said[-1].startswith("no-such failed: ")
    kept = msgspec.json.decode((tmp_path / JSON_NAME).read_bytes(), type=Run)
    assert [one.name for one in kept.found] == ["stages", "no-such"]
    write_pages(tmp_path / JSON_NAME)
    page = (tmp_path / PAGE_NAME).read_text(encoding="utf-8")
    assert "| ingest | " in page
    assert "It failed: " in page
    html = (tmp_path / HTML_NAME).read_text(encoding="utf-8")
    assert "<td>ingest</td>" in html
    assert "It failed: " in html


def test_only_what_was_asked_for_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "_one", lambda entry, _options, command: Found(entry.name, command, 1, 1, STAGES)
    )
    monkeypatch.setattr(module, "wait_until_quiet", lambda _say: 0.0)
    run = run_all(quick=False, only=["stages"], folder=tmp_path, say=lambda _line: None)
    assert [one.name for one in run.found] == ["stages"]


@pytest.mark.parametrize("quick, waits", [(False, 2), (True, 0)])
def test_each_benchmark_of_a_whole_run_waits_for_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, quick: bool, waits: int
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(
        module, "_one", lambda entry, _options, command: Found(entry.name, command, 1, 1, STAGES)
    )
    monkeypatch.setattr(module, "wait_until_quiet", lambda _say: waited.append("waited"))
    run_all(quick=quick, only=["stages", "rates"], folder=tmp_path, say=lambda _line: None)
    assert len(waited) == waits


@pytest.mark.parametrize(
    "loads, sleeps, left",
    [([0.9], 0, 0.9), ([5.0, 1.0, 0.99, 7.0], 2, 0.99), ([5.0] * 9, 3, 5.0)],
    ids=["quiet", "quiet again", "never quiet"],
)
def test_the_wait_for_a_quiet_machine_ends(loads: list[float], sleeps: int, left: float) -> None:
    slept: list[float] = []
    said: list[str] = []
    ahead = iter(loads)
    found = wait_until_quiet(said.append, 6.0, load_of=lambda: next(ahead), sleep=slept.append)
    assert found == left
    assert len(slept) == sleeps
    assert bool(said) == (loads[0] >= 1)


def test_a_tree_with_changes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    file = tmp_path / "run_all.py"
    file.write_text("1\n", encoding="utf-8")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("tag", "v1")
    monkeypatch.setattr(module, "__file__", str(file))
    clean = module._commit()
    assert findall(r"^[0-9a-f]{7,}$", clean)
    file.write_text("2\n", encoding="utf-8")
    assert module._commit() == f"{clean}-dirty"
    page = draw_page(msgspec.structs.replace(run_of(), commit=module._commit()))
    assert f"at commit {clean} with changes that were not committed, begun" in page


def test_the_page_says_machine_commands_and_figures() -> None:
    page = draw_page(run_of(Found("stages", "outcry bench stages", 12.0, 1.5, STAGES)))
    assert page.startswith("# A run of all benchmarks\n")
    assert "a processor, 2 cores, 24 GiB, Linux; Python 3.13.0." in page
    assert "`outcry bench stages`, 12 s; load average 1.5 as it began." in page
    assert "| risk | 1.0 (1.0, 1.0) |" in page.replace("[", "(").replace("]", ")")
    assert "## Where the limit is" not in page


def test_the_limit_is_computed_from_each_process_share() -> None:
    raw = msgspec.Raw(msgspec.json.encode(pipeline()))
    limit = limit_of(run_of(Found("pipeline", "outcry bench pipeline", 60.0, 1.0, raw)))
    assert "A command costs 200 us of processor time: kafka 100 us, risk 80 us" in limit
    assert "2 cores bear at most 10,000/s, the largest part is kafka (50%)" in limit
    assert "risk, whose one takes 12,500/s" in limit
    assert limit_of(run_of(Found("pipeline", "x", 1.0, 1.0, msgspec.Raw(b"null"), "it died"))) == ""


def test_a_table_for_terminals_becomes_one_of_markdown() -> None:
    table = Table("a", "b|c", caption="said\nso")
    table.add_row("1", "2\n3")
    assert markdown_of(table) == "| a | b\\|c |\n| --- | --- |\n| 1 | 2 3 |\n\nsaid so."


def test_figures_of_another_shape_are_refused() -> None:
    old = Found("stages", "outcry bench stages", 1.0, 1.0, msgspec.Raw(b'[{"stage":"risk"}]'))
    with pytest.raises(msgspec.ValidationError, match="decode_us"):
        draw_page(run_of(old))


def rates() -> list[Latency]:
    return [
        Latency(100, 1_000, 20.0, 40.0, 50.0, 60.0, 1.0),
        Latency(1_200, 9_000, 80.0, 90.0, 95.0, 700.0, 1.0),
    ]


def scaling() -> list[ScalingRow]:
    return [
        ScalingRow(axis, size, 1_000, Spread(4.0 * size, 3.0, 5.0 * size), 1_000.0 * size, 40.0)
        for axis in MEANINGS
        for size in (1, 20)
    ]


def found_of(name: str, figures: object) -> Found:
    return Found(name, f"outcry bench {name}", 1.0, 1.0, msgspec.Raw(msgspec.json.encode(figures)))


def drawn() -> list[Found]:
    figures = {"rates": rates(), "scaling": scaling(), "pipeline": pipeline()}
    return [found_of(*one) for one in figures.items()]


@pytest.mark.parametrize(
    "found, words",
    list(
        zip(
            drawn(),
            [
                ("50th percentile", "95th", "99th", "most", "100", "1,200"),
                (*MEANINGS.values(), "commands/s together", "each as fast as one alone", "20"),
                ("Processor time a command: 200 us", "kafka", "risk", "matcher", "80"),
            ],
            strict=True,
        )
    ),
    ids=lambda one: one.name if isinstance(one, Found) else "words",
)
def test_a_picture_names_what_it_shows_and_is_the_same_twice(
    found: Found, words: tuple[str, ...]
) -> None:
    svg = draw_plot(found)
    assert [word for word in words if f">{word}</text>" not in svg.decode()] == []
    assert svg == draw_plot(found)


def test_a_benchmark_that_failed_or_has_no_picture_draws_none() -> None:
    failed = msgspec.structs.replace(drawn()[0], error="it died")
    assert not is_drawn(failed)
    assert not is_drawn(Found("stages", "outcry bench stages", 1.0, 1.0, STAGES))
    assert "![" not in draw_page(run_of(failed))


def test_the_markdown_page_finds_its_pictures_beside_it(tmp_path: Path) -> None:
    run = run_of(*drawn())
    (tmp_path / JSON_NAME).write_bytes(msgspec.json.encode(run))
    written = write_pages(tmp_path / JSON_NAME)
    page = (tmp_path / PAGE_NAME).read_text(encoding="utf-8")
    linked = [pair for line in page.splitlines() for pair in findall(r"^!\[(.+)\]\((.+)\)$", line)]
    assert linked == [(words_of(one), f"{IMAGES}/{file_of(one)}") for one in run.found]
    assert [(tmp_path / path).read_bytes() for _, path in linked] == [
        draw_plot(one) for one in run.found
    ]
    assert sorted(written) == sorted(
        [tmp_path / PAGE_NAME, tmp_path / HTML_NAME, *(tmp_path / path for _, path in linked)]
    )


def test_the_html_page_has_what_the_other_has_and_needs_nothing_else() -> None:
    run = run_of(*drawn(), Found("stages", "outcry bench stages", 1.0, 1.0, STAGES, "<it died>"))
    html, page = draw_html(run), draw_page(run)
    assert findall(r"<h2>(.+)</h2>", html.replace("&#x27;", "'")) == [
        line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")
    ]
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert html.count("<tr>") == len(rows) - html.count("<table>")
    pictures = findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="[^"]+"', html)
    assert [b64decode(one) for one in pictures] == [draw_plot(one) for one in drawn()]
    assert "It failed: &lt;it died&gt;" in html
    assert "href=" not in html
    assert html.count("src=") == len(pictures)


def test_what_was_run_again_later_says_at_which_commit() -> None:
    again = Found("stages", "outcry bench stages", 1.0, 0.5, STAGES, commit="def5678")
    page = draw_page(run_of(again))
    assert "at commit abc1234, begun" in page
    assert "Run again later, at commit def5678." in page
