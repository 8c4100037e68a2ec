"""`outcry bench stages`: what a command costs each room's own code, in memory and in one process.

A seeded crowd passes ingest, risk, the matcher and risk again; each takes what is there as a
batch: decode all, fold all, encode all. No Kafka, no transactions, no sockets: those, with the
process around each room, are in `outcry bench pipeline`, and the difference is what they cost.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
from rich.table import Table

from services.tools.bench.chain import Chain, Clock
from services.tools.bench.frame import Say
from services.tools.bench.tries import Spread, spread_of
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.wire.codec import Codec, local_codec


class StageCost(msgspec.Struct, frozen=True):
    """One room; processor time a command of the crowd, in microseconds."""

    stage: str
    decode_us: Spread
    """0 for ingest, whose fold decodes."""
    fold_us: Spread
    encode_us: Spread
    out: float
    """Records that it gives a command."""
    out_bytes: float


def run_stages_bench(commands: int, seed: int, repeats: int, say: Say) -> list[StageCost]:
    """Let a crowd's first commands through, a few times; blocks for seconds.

    Raises:
        ValueError: no command, or no repeat.
    """
    if commands < 1 or repeats < 1:
        raise ValueError("needs at least 1 command and 1 repeat")
    codec = local_codec()
    values = [encode(codec, one, 0) for one in islice(Crowd(seed).commands(), commands)]
    tries = []
    for number in range(repeats):
        say(f"try {number + 1} of {repeats}")
        tries.append(_once(codec, seed, values))
    return [_cost(name, [clocks[name] for clocks in tries], commands) for name in tries[0]]


def _once(codec: Codec, seed: int, values: Sequence[bytes]) -> dict[str, Clock]:
    chain = Chain(codec, seed)
    chain.clocks = {name: Clock() for name in chain.clocks}  # letting the crowd in is no order
    chain.enter_orders(values)
    return chain.clocks


def _cost(name: str, clocks: Sequence[Clock], commands: int) -> StageCost:
    def spread(times_s: Iterator[float]) -> Spread:
        return spread_of([seconds / commands * 1e6 for seconds in times_s])

    return StageCost(
        name,
        spread(clock.decode_s for clock in clocks),
        spread(clock.fold_s for clock in clocks),
        spread(clock.encode_s for clock in clocks),
        clocks[0].records / commands,
        clocks[0].bytes / commands,
    )


def stages_table(costs: Sequence[StageCost]) -> Table:
    """For people."""
    table = Table(
        "stage", "decode us", "fold us", "encode us", "all us", "records out", "bytes out",
        title="bench stages, processor time a command", caption="median (least, most)",
    )  # fmt: skip
    for cost in costs:
        parts = (cost.decode_us, cost.fold_us, cost.encode_us)
        table.add_row(
            cost.stage,
            *(f"{part.median:.1f} [{part.low:.1f}, {part.high:.1f}]" for part in parts),
            f"{sum(part.median for part in parts):.1f}",
            f"{cost.out:.2f}",
            f"{cost.out_bytes:.0f}",
        )
    return table
