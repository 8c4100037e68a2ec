"""Polls the online store, in a process of its own: `python -m ... HOME FEATURE_SET TICKER...`.

Says "ready" once the store answers, polls until its standard input ends, and then prints what it
saw and what the polling cost. A row counts as readable when Feast's answer with it is in hand.
"""

import json
import sys
import time
from pathlib import Path
from statistics import quantiles
from threading import Event, Thread
from typing import Final

from services.online.errors import OnlineStoreAwayError, OnlineStoreError, UnknownServiceError
from services.online.features import OnlineFeatures
from services.tools.bench.freshness import POLL_S

_READY_TIMEOUT_S: Final = 120.0


def main() -> None:
    home, name, tickers = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    online = OnlineFeatures(home)
    give_up_at_s = time.monotonic() + _READY_TIMEOUT_S
    while True:
        try:
            service = online.service(name)
            online.read(service, tickers)
            break
        except (OnlineStoreAwayError, OnlineStoreError, UnknownServiceError):
            if time.monotonic() > give_up_at_s:
                raise
            time.sleep(0.2)
    told_to_stop = Event()
    Thread(target=_await_end, args=(told_to_stop,), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    seen: list[tuple[str, int, float]] = []
    newest: dict[str, int] = {}
    reads_s: list[float] = []
    began_s, cpu_before_s = time.monotonic(), time.process_time()
    while not told_to_stop.is_set():
        poll_s = time.monotonic()
        answers = online.read(service, tickers)
        at_s = time.time()
        reads_s.append(time.monotonic() - poll_s)
        for answer in answers:
            grid_time_us = answer.grid_time_us
            if grid_time_us is not None and grid_time_us > newest.get(answer.ticker, -1):
                newest[answer.ticker] = grid_time_us
                seen.append((answer.ticker, grid_time_us, at_s))
        time.sleep(max(0.0, POLL_S - (time.monotonic() - poll_s)))
    cuts = quantiles(reads_s, n=100, method="inclusive")
    cost = {
        "polls": len(reads_s),
        "read_p50_ms": cuts[49] * 1_000,
        "read_p99_ms": cuts[98] * 1_000,
        "cores": (time.process_time() - cpu_before_s) / (time.monotonic() - began_s),
    }
    sys.stdout.write(json.dumps({"seen": seen, "cost": cost}) + "\n")


def _await_end(told_to_stop: Event) -> None:
    sys.stdin.read()
    told_to_stop.set()


if __name__ == "__main__":
    main()
