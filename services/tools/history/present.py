"""What `outcry history` prints: tables for people, one JSON document for programs."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from services.tools.history.quality import Batch
from services.tools.history.report import Report
from services.tools.history.rules import BY_NAME
from services.tools.history.simulated import Made
from services.tools.history.source import digest
from services.tools.history.stream import Streamed
from services.tools.operate.present import print_json, print_table


def print_reports(reports: Sequence[Report], *, as_json: bool) -> None:
    """What came of each file."""
    if as_json:
        print_json({"files": [_document(report) for report in reports]})
        return
    for report in reports:
        print_table((report.file, ""), _report_rows(report))
        if report.findings:
            print_table(("rule", "done", "rows", "first examples"), _finding_rows(report))


def print_batches(found: Iterable[Batch], *, as_json: bool) -> None:
    """One line a batch."""
    if as_json:
        print_json({"batches": [msgspec.to_builtins(batch) for batch in found]})
        return
    columns = ("batch", "kind", "file", "read", "kept", "new", "refused", "repaired", "reported")
    print_table(
        (*columns, "verdict"),
        [
            (
                batch.batch, report.kind, report.file, report.rows_read, report.kept, report.new,
                report.refused, report.count("repair"), report.count("report"), verdict(report),
            )
            for batch in found
            for report in (batch.report,)
        ],
    )  # fmt: skip


def print_batch(batch: Batch, *, as_json: bool) -> None:
    """Every check of a batch."""
    if as_json:
        print_json(msgspec.to_builtins(batch))
        return
    print_table((batch.batch, ""), _report_rows(batch.report))
    print_table(
        ("check", "done", "rows", "what"),
        [(check.rule, check.action, check.count, check.what) for check in batch.checks],
    )


def print_streamed(streamed: Streamed, *, as_json: bool) -> None:
    """How a stream came out."""
    if as_json:
        print_json({"holds": streamed.holds, **msgspec.to_builtins(streamed)})
        return
    print_table((f"stream of {', '.join(streamed.tickers)}", ""), _streamed_rows(streamed))


def print_made(path: Path, made: Made, *, as_json: bool) -> None:
    """A file that was made, and what to do with it."""
    digest_of_file = digest(path)
    if as_json:
        print_json({"file": str(path), "sha256": digest_of_file, **msgspec.to_builtins(made)})
        return
    rows = [
        ("records of the crowd", f"{made.records:,}"),
        ("trades", f"{made.trades:,}"),
        ("from, to", f"{made.first_time}, {made.last_time}"),
        ("SHA-256", digest_of_file),
        ("next", f"outcry history ingest trades {path}"),
    ]
    print_table((path.name, ""), rows)


def verdict(report: Report) -> str:
    """One word, or the cause why the file was refused."""
    if report.error:
        return report.error
    return "clean" if not report.findings else "kept with findings" if report.kept else "nothing"


def _report_rows(report: Report) -> Iterator[tuple[object, object]]:
    yield "rows read", f"{report.rows_read:,}"
    if report.error:
        yield "refused as a whole", report.error
        return
    yield "kept", f"{report.kept:,} ({report.new:,} new, {report.known:,} known before)"
    yield "refused", f"{report.refused:,}"
    yield "dropped as repetitions", f"{report.dropped:,}"
    if report.kind == "lobster":
        yield "commands, trades", f"{report.commands:,}, {report.trades:,}"
    if report.interval:
        yield "interval", report.interval
    yield "tickers", ", ".join(f"{t} {n:,}" for t, n in report.tickers.items())
    yield "from, to", f"{report.first_time}, {report.last_time}"
    yield "files written", report.files_written


def _finding_rows(report: Report) -> Iterator[tuple[object, ...]]:
    for name, finding in report.findings.items():
        shown = "; ".join(
            f"row {example.row}: {example.shown}" if example.row else example.shown
            for example in finding.examples
        )
        yield name, BY_NAME[name].action, f"{finding.count:,}", shown


def _streamed_rows(streamed: Streamed) -> Iterator[tuple[object, object]]:
    yield "commands sent", f"{streamed.sent:,} ({streamed.skipped:,} were there before)"
    yield "reached", streamed.reached or "nothing was left to send"
    if streamed.interrupted:
        yield "verdict", "stopped; the same command with this prefix goes on"
    else:
        yield "trades printed", f"{streamed.trades_equal:,} of {streamed.trades_expected:,} as kept"
        if streamed.difference:
            yield "first difference", streamed.difference
        yield "verdict", "holds" if streamed.holds else "DOES NOT HOLD"
    yield "time", f"{streamed.duration_s:.1f} s"
    yield "topics", f"OUTCRY_TOPIC_PREFIX={streamed.prefix}"


def _document(report: Report) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(report)
    return {
        **document,
        "refused": report.refused,
        "dropped": report.dropped,
        "repaired": report.count("repair"),
        "reported": report.count("report"),
        "verdict": verdict(report),
    }
