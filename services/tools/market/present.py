"""What `simulate` and `replay` print: a table for people, one JSON document for programs."""

from collections.abc import Iterator

import msgspec

from services.tools.market.oracle import Findings
from services.tools.market.publish import Published
from services.tools.market.replay import Replayed
from services.tools.operate.present import print_json, print_table


def print_published(published: Published, *, seed: int, accounts: int, as_json: bool) -> None:
    """What a crowd sent."""
    if as_json:
        document = msgspec.to_builtins(published)
        print_json({"seed": seed, "accounts": accounts, "rate": published.rate, **document})
        return
    rows: list[tuple[object, object]] = list(published.by_kind.items())
    rows += [
        ("sent", published.sent),
        ("confirmed", published.delivered),
        ("dead letters expected", published.dead_letters_expected),
        ("accounts", accounts),
        ("records/s", f"{published.rate:,.0f}"),
    ]
    late = published.lateness
    if late is not None:
        rows.append(
            (
                "lateness p50, p99, max",
                f"{late.p50_us / 1000:.1f}, {late.p99_us / 1000:.1f}, {late.max_us / 1000:.1f} ms",
            )
        )
    print_table(("crowd", f"seed {seed}"), rows)


def print_replayed(replayed: Replayed, *, as_json: bool) -> None:
    """How a replay came out."""
    if as_json:
        print_json({"holds": replayed.holds, **msgspec.to_builtins(replayed)})
        return
    print_table((f"replay of {replayed.ticker}", ""), _replayed_rows(replayed))
    for difference in replayed.findings.differences if replayed.findings else ():
        print_table(("difference",), [(difference,)])


def _replayed_rows(replayed: Replayed) -> Iterator[tuple[object, object]]:
    rows = max(replayed.rows, 1)
    yield "rows", f"{replayed.rows:,}"
    yield "commands", f"{replayed.commands:,} ({replayed.commands / rows:.2f} a row)"
    yield "hidden executions skipped", f"{replayed.skipped.hidden_executions:,}"
    yield "messages outside the window", f"{replayed.skipped.outside:,}"
    yield "time", f"{replayed.duration_s:.1f} s"
    if replayed.findings is not None:
        yield from _findings_rows(replayed.findings)
    for reason, count in replayed.refusals.items():
        yield f"refused {reason}", f"{count:,}"
    if replayed.unanswered:
        yield "commands never answered", f"{replayed.unanswered:,}"
    yield "verdict", "holds" if replayed.holds else "DOES NOT HOLD"
    yield "topics", f"OUTCRY_TOPIC_PREFIX={replayed.prefix}"


def _findings_rows(findings: Findings) -> Iterator[tuple[object, object]]:
    yield "rows checked", f"{findings.rows_checked:,}"
    yield "rows equal", f"{findings.rows_equal:,} ({_percent(findings)} %)"
    yield "FIFO agreement", f"{findings.fifo_agreed:,} of {findings.executions:,} executions"
    yield "commands in matching", f"{findings.commands_folded:,}"
    yield "  missing", f"{findings.commands_missing:,}"
    yield "  strange", f"{findings.commands_strange:,}"
    yield "  refused by the book", f"{findings.commands_refused:,}"
    yield "trades compared", f"{findings.trades_checked:,}"
    yield "  different", f"{findings.trades_different:,}"
    yield "book records compared", f"{findings.depths_checked:,}"
    yield "  different", f"{findings.depths_different:,}"


def _percent(findings: Findings) -> str:
    """Cut, not rounded: 100 means all."""
    if findings.rows_checked == 0:
        return "0"
    cut = findings.rows_equal * 10_000 // findings.rows_checked
    return "100" if cut == 10_000 else f"{cut // 100}.{cut % 100:02}"
