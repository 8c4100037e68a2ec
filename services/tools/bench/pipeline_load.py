"""The load of `bench pipeline`, a process of its own: an open-loop publisher of a seeded crowd.

The crowd's commands are drawn before the clock starts (in long runs, the first of them), so that
the generator costs the measured machine little. It says `ready` on standard output, begins at a
line on standard input, and ends with one line of JSON.
"""

import sys
import time
from collections.abc import Callable
from itertools import chain, islice
from typing import Final

import msgspec

from services.runtime.registry import load_codec
from services.tools.market.publish import Publisher, publish
from services.tools.market.simulator import Crowd

_DRAW_AHEAD: Final = 250_000
"""At most so many commands are drawn before the start; the rest on the way."""


class LoadOrder(msgspec.Struct, frozen=True):
    """What to publish, handed over as one argument of JSON."""

    bootstrap: str
    registry_url: str
    prefix: str
    seed: int
    first: int
    """Skip so many records of the crowd's stream: an earlier load published them."""
    records: int
    rate_per_s: int
    trace_every: int = 0
    """The first of so many has a trace of its own; 0: none has."""


class LoadResult(msgspec.Struct, frozen=True):
    """What was published, and when."""

    t0_s: float
    """Unix time of the first record's intended publication."""
    lateness_max_ms: float
    """By how much the generator itself was late at worst."""


def publish_load(order: LoadOrder) -> None:
    """Publish one load; see the module."""
    codec = load_codec(order.registry_url)
    publisher = Publisher(order.bootstrap, order.prefix, codec)
    stream = islice(Crowd(order.seed).commands(), order.first, order.first + order.records)
    ahead = list(islice(stream, _DRAW_AHEAD))
    print("ready", flush=True)  # noqa: T201 - the protocol with the parent process
    sys.stdin.readline()
    t0_s = time.time()
    trace_of = trace_maker(order.trace_every)
    published = publish(publisher, codec, chain(ahead, stream), order.rate_per_s, trace_of=trace_of)
    late_us = published.lateness.max_us if published.lateness is not None else 0
    result = LoadResult(t0_s, late_us / 1_000)
    print(msgspec.json.encode(result).decode(), flush=True)  # noqa: T201 - the same


def trace_maker(every: int) -> Callable[[int], bytes | None]:
    """What gives the record of a place the header of its trace."""
    if not every:
        return lambda _: None
    return lambda place: _header(place) if place % every == 0 else None


def _header(place: int) -> bytes:
    # Told apart by the place, and never zero; what else the digits are, nobody cares.
    return b"00-%032x-%016x-01" % (place + 1, place + 1)


if __name__ == "__main__":
    publish_load(msgspec.json.decode(sys.argv[1], type=LoadOrder))
