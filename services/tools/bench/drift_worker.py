"""One drift job in a process of its own: `python -m ... ROWS FEATURES TICKERS WINDOW_S SEED`.

Rows as they come from the lake become a reference and a window; the reference is calibrated, and
the window judged. Prints the time of each step, and the greatest memory, rows included.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import numpy as np

from services.drift.core.arrays import Floats, Ints
from services.drift.core.calibration import Calibration, calibrate
from services.drift.core.judge import judge
from services.drift.core.panel import Column, Panel, panel_of
from services.tools.drift.markets import ar_market

_KEEPS: Final = 0.95


def main() -> None:
    """Do it, and print one line of JSON."""
    rows, features, tickers, window_s, seed = map(int, sys.argv[1:])
    seconds = rows // tickers
    made = ar_market(_KEEPS)(seed, seconds + window_s, tickers, features)
    columns, names = made.columns, made.tickers
    before = _as_rows(made.part(0, seconds))
    after = _as_rows(made.part(seconds, seconds + window_s))
    del made
    steps: dict[str, float] = {}

    def timed[Made](step: str, act: Callable[[], Made]) -> Made:
        begin_s = perf_counter()
        answer = act()
        steps[step] = perf_counter() - begin_s
        return answer

    begin_cpu_s = process_time()
    reference = timed("reference side by side", lambda: _panel(names, columns, before))
    known = timed("calibrate", lambda: calibrate(reference, window_s))
    assert isinstance(known, Calibration), known
    window = timed("window side by side", lambda: _panel(names, columns, after))
    verdict = timed("judge", lambda: judge(known, window))
    answer = {
        "rows": len(before[0]),
        "stretches": known.stretches,
        "checks": len(verdict.checks),
        "outcome": verdict.outcome,
        "steps": steps,
        "wall_s": sum(steps.values()),
        "cpu_s": process_time() - begin_cpu_s,
        "peak_mib": _peak_mib(),
    }
    print(json.dumps(answer))  # noqa: T201 - the answer


def _as_rows(panel: Panel) -> tuple[Ints, Ints, Floats]:
    tickers = len(panel.tickers)
    ticker = np.tile(np.arange(tickers), len(panel))
    return ticker, np.repeat(panel.time_us, tickers), panel.values.reshape(len(ticker), -1)


def _panel(
    tickers: tuple[str, ...], columns: tuple[Column, ...], rows: tuple[Ints, Ints, Floats]
) -> Panel:
    made = panel_of(tickers, columns, *rows)
    assert isinstance(made, Panel), made
    return made


def _peak_mib() -> float:
    # Of this process alone: the kernel's ru_maxrss begins with the parent's.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
