import pytest

from services.features.core import PartitionFold
from services.tools.bench.features_live import Place, Tape, steady_per_s
from services.wire.codec import local_codec
from tests.support.trade_tape import V1, live_sets

CODEC = local_codec()


def test_the_tape_counts_the_rows_that_its_trades_close() -> None:
    tape = Tape(CODEC, 5, 1_790_000_000_000_000)
    folds = [PartitionFold(p, live_sets(V1)) for p in range(5)]
    rows = 0
    for offset, (partition, value) in enumerate(tape.take(2_000, 20_000)):
        rows += len(folds[partition].handle(offset, CODEC.decode("trades", value)))
    assert rows > 100
    assert tape.rows == rows


def test_the_steady_rate_leaves_out_the_first_and_the_last_fifth() -> None:
    """A slow begin and a slow end, and 1,000 trades a second in between."""
    written: list[Place] = [(n % 2, n // 2) for n in range(1_000)]
    at_s = [n / 1_000 + (5 if n > 150 else 0) + (7 if n > 900 else 0) for n in range(1_000)]
    arrivals = [(at_s[n], written[n]) for n in range(0, 1_000, 9)]
    assert steady_per_s(written, arrivals) == pytest.approx(1_000, rel=0.05)
