"""What `outcry vopr` prints: one line a finding, figures, and the table of planted bugs."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.tools.proof.vopr.run import Hunt, Outcome, run_seed

FINDINGS_MAX: Final = 20
"""Most findings that are spelled out."""


class Summary(msgspec.Struct):
    """What many seeds came to."""

    steps: int
    """Of each seed."""
    seeds: int = 0
    failed: int = 0
    seconds: float = 0.0
    digest: str = ""
    """Of a single seed: of all that happened and of its whole log."""
    findings: list[dict[str, str]] = msgspec.field(default_factory=list)
    """What was found, and the command that repeats it."""
    figures: dict[str, int] = msgspec.field(default_factory=dict)
    """Records of each topic, and strikes of each kind, over all seeds."""
    _began_s: float = msgspec.field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        """Count one seed in."""
        self.seeds += 1
        self.digest = outcome.digest if self.seeds == 1 else ""
        self.figures = dict(Counter(self.figures) + Counter(outcome.figures))
        if outcome.finding:
            self.failed += 1
            if len(self.findings) < FINDINGS_MAX:
                self.findings.append({"finding": outcome.finding, "repeat": outcome.command})

    def finish(self) -> None:
        """All seeds are in."""
        self.seconds = round(time.monotonic() - self._began_s, 2)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.failed


def print_summary(summary: Summary) -> None:
    """For people."""
    console = Console(highlight=False, soft_wrap=True)
    for found in summary.findings:
        console.print(f"[red]{found['finding']}[/red]", markup=True)
        console.print(f"  repeat: {found['repeat']}", markup=False)
    if summary.failed > len(summary.findings):
        console.print(f"and {summary.failed - len(summary.findings)} more seeds")
    figures = ", ".join(f"{name} {count:,}" for name, count in sorted(summary.figures.items()))
    console.print(f"{figures}", markup=False)
    verdict = "all held" if summary.holds else f"{summary.failed} failed"
    console.print(
        f"{summary.seeds:,} seeds of {summary.steps:,} steps in {summary.seconds:,.1f} s:"
        f" {verdict}{f'; digest {summary.digest}' if summary.digest else ''}",
        markup=False,
    )


def print_hunts(hunts: Sequence[Hunt], steps: int) -> None:
    """The planted bugs, and after how many seeds each was found."""
    console = Console()
    table = Table(title=f"planted bugs, seeds of {steps} steps")
    table.add_column("bug")
    table.add_column("what it breaks")
    table.add_column("seeds (median)", justify="right")
    table.add_column("from each start")
    table.add_column("found by")
    for hunt in hunts:
        median = f"{hunt.seeds_median}" if hunt.is_found else "[red]not found[/red]"
        starts = " ".join(str(count or "-") for count in hunt.seeds)
        table.add_row(hunt.name, hunt.breaks, median, starts, hunt.finding.partition(":")[0])
    console.print(table)


def print_trace(seed: int, steps: int, mutation: str) -> Outcome:
    """Every step of one seed, then what it came to."""
    lines: list[str] = []
    outcome = run_seed(seed, steps, mutation, trace=lines)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for line in lines:
        console.print(line)
    console.print(outcome.finding or f"all held; digest {outcome.digest}")
    return outcome


@contextmanager
def progress(total: int, of_what: str) -> Iterator[Callable[[], None]]:
    """A bar on standard error; yields what moves it on by one."""
    columns = (
        TextColumn(of_what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(of_what, total=total)
        yield lambda: bar.advance(task)
