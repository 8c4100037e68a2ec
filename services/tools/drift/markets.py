"""Markets in which nothing changes, and whose columns remember: what cries wolf without care.

Each is a function of its arguments alone, and stationary: the same at any time, but for chance.
Features of a ticker share a factor, tickers share a part of that, and each ticker has levels of its
own, so that one is not another.

ar-0.9 ...  every column keeps that share of its last value, and draws the rest
garch       the same with 0.9, but what is drawn has volatility that clusters (GARCH(1, 1)), by
            ticker: squares remember longer than values, and large values come in storms
fold        the feature fold (microstructure_v2) over made-up trades: windows up to 300 s overlap
classes     labels and what a model says of them, by turns: a drift of the market that nobody sees,
            and forgets in ten minutes, is a small part of what each of them is made of
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from services.drift.core.arrays import Floats, Ints
from services.drift.core.panel import SECOND_US, Column, Panel, panel_of
from services.models.classes import CLASS_NAMES

START_US: Final = 1_790_000_000 * SECOND_US
_LEVELS_SEED: Final = 7
_ARCH: Final = 0.08
_GARCH: Final = 0.91
_WARM_S: Final = 2_000
"""Drawn and thrown away, so that a market begins as it goes on."""
_CHUNK: Final = 256
"""Seconds: the powers of 0.1 and more stay far from the least float so long."""
_MEAN_GAP_US: Final = 500_000
_CLASS_MEMORY_S: Final = 600
"""Integrated autocorrelation time; a fifth of that in the windows of `--short`."""
_HORIZON_S: Final = 10
_LABEL_SHARE: Final = 0.25
"""Of the drift in a label, whose other part is of standard deviation 1."""
_SAID_SHARE: Final = 0.4
_FLAT: Final = 0.43
"""Within it on either side is a third of a standard normal variable."""

type Market = Callable[[int, int, int, int], Panel]
"""Seed, seconds, tickers, features."""


def ar_market(keeps: float) -> Market:
    """Of columns that keep that share of their last value."""

    def make(seed: int, seconds: int, tickers: int, features: int) -> Panel:
        rng = np.random.default_rng([seed, round(keeps * 1_000)])
        return _panel(_mixed(_series(rng, seconds, tickers, features, keeps, _plain)))

    return make


def garch_market(seed: int, seconds: int, tickers: int, features: int) -> Panel:
    """Of columns with clusters of volatility."""
    rng = np.random.default_rng([seed, 2])
    return _panel(_mixed(_series(rng, seconds, tickers, features, 0.9, _clustered)))


def fold_market(seed: int, seconds: int, tickers: int, features: int) -> Panel:
    """Of the real fold; the first of its features but `mid`, which is a price and no feature."""
    from services.featuresets.microstructure_v2 import MICROSTRUCTURE_V2
    from services.tools.vectorfold.fold import fold_columns
    from services.tools.vectorfold.made_trades import make_trades

    names = [name for name in MICROSTRUCTURE_V2.columns if name != "mid"][:features]
    times, values = [], []
    for ticker in range(tickers):
        # A ticker more trades less often; so one is not another.
        gap_us = int(_MEAN_GAP_US * (1 + 0.3 * ticker))
        spare_s = seconds + seconds // 10 + 2_000
        trades = make_trades(seed * 1_000 + ticker, spare_s * SECOND_US // gap_us, gap_us)
        rows = fold_columns(MICROSTRUCTURE_V2, trades)
        reals = dict(zip(MICROSTRUCTURE_V2.columns, rows.reals(MICROSTRUCTURE_V2), strict=True))
        times.append(rows.grid_time_us)
        values.append(np.column_stack([reals[name] for name in names]))
    counts = [len(of_ticker) for of_ticker in times]
    made = panel_of(
        _tickers(tickers),
        [Column(name) for name in names],
        np.repeat(np.arange(tickers), counts),
        np.concatenate(times),
        np.concatenate(values),
    )
    assert isinstance(made, Panel), made
    # The first five minutes look back at nothing.
    assert len(made) >= seconds + 300, f"{len(made)} s of the fold; {seconds + 300} are needed"
    return made.part(300, 300 + seconds)


def class_market(memory_s: float) -> Market:
    """Of classes whose shares remember so long: an integrated autocorrelation time."""
    keeps = (memory_s - 1) / (memory_s + 1)

    def make(seed: int, seconds: int, tickers: int, features: int) -> Panel:
        rng = np.random.default_rng([seed, 3, round(memory_s)])
        warm_s = round(5 * memory_s)
        drawn = rng.standard_normal((seconds + warm_s, tickers + 1))
        drift = autoregressive(drawn, keeps)[warm_s:]
        shared = np.sqrt(0.5) * (drift[:, :-1] + drift[:, -1:])
        values = np.empty((seconds, tickers, features))
        for place in range(features):
            is_label = place % 2 == 0
            own = (
                _moving(rng.standard_normal((seconds + _HORIZON_S, tickers)))
                if is_label
                else autoregressive(rng.standard_normal((seconds, tickers)), 0.97)
            )
            share = _LABEL_SHARE if is_label else _SAID_SHARE
            values[:, :, place] = np.digitize(share * shared + own, (-_FLAT, _FLAT))
        made = _panel(values)
        columns = tuple(
            Column(f"{'said' if place % 2 else 'label'}{place}", CLASS_NAMES)
            for place in range(features)
        )
        return Panel(made.tickers, columns, made.time_us, made.values)

    return make


def _moving(drawn: Floats) -> Floats:
    """Sums over a horizon, of variance 1: what overlapping labels share."""
    upto = np.cumsum(drawn, axis=0)
    found: Floats = (upto[_HORIZON_S:] - upto[:-_HORIZON_S]) / np.sqrt(_HORIZON_S)
    return found


MARKETS: Final[dict[str, Market]] = {
    "ar-0.9": ar_market(0.9),
    "ar-0.95": ar_market(0.95),
    "ar-0.99": ar_market(0.99),
    "garch": garch_market,
    "fold": fold_market,
    "classes": class_market(_CLASS_MEMORY_S),
}
SHORT: Final = tuple(name for name in MARKETS if name != "ar-0.99")
"""Those that forget within the windows of `--short`."""


def autoregressive(drawn: Floats, keeps: float) -> Floats:
    """[seconds, columns] of variance 1 from independent values of variance 1."""
    assert 0.1 <= keeps < 1, f"columns that keep {keeps}"
    fresh = drawn * np.sqrt(1 - keeps * keeps)
    made: Floats = np.empty_like(fresh)
    made[0] = drawn[0]
    powers = keeps ** np.arange(1, _CHUNK + 1)[:, None]
    for begin in range(1, len(made), _CHUNK):
        part = fresh[begin : begin + _CHUNK]
        own = powers[: len(part)]
        made[begin : begin + len(part)] = own * (made[begin - 1] + np.cumsum(part / own, axis=0))
    return made


def _series(
    rng: np.random.Generator,
    seconds: int,
    tickers: int,
    features: int,
    keeps: float,
    draw: Callable[[np.random.Generator, int, int, int], Floats],
) -> Floats:
    """[seconds, tickers + 1, features + 1]: the last ones are factors."""
    drawn = draw(rng, seconds + _WARM_S, tickers + 1, features + 1)
    flat = autoregressive(drawn.reshape(len(drawn), -1), keeps)
    return flat[_WARM_S:].reshape(seconds, tickers + 1, features + 1)


def _plain(rng: np.random.Generator, seconds: int, tickers: int, columns: int) -> Floats:
    drawn: Floats = rng.standard_normal((seconds, tickers, columns))
    return drawn


def _clustered(rng: np.random.Generator, seconds: int, tickers: int, columns: int) -> Floats:
    drawn = rng.standard_normal((seconds, tickers, columns))
    shocks = np.square(drawn[:, :, -1])
    variance = np.empty((seconds, tickers))
    now = np.ones(tickers)
    for second in range(seconds):
        variance[second] = now
        now = (1 - _ARCH - _GARCH) + now * (_GARCH + _ARCH * shocks[second])
    clustered: Floats = drawn * np.sqrt(variance)[:, :, None]
    return clustered


def _mixed(series: Floats) -> Floats:
    """Features with their factors and levels: [seconds, tickers, features]."""
    own = series[:, :-1, :-1]
    factor = np.sqrt(0.5) * (series[:, :-1, -1:] + series[:, -1:, -1:])
    features = own.shape[2]
    share = np.linspace(0.0, 0.8, features)
    mixed = share * factor + np.sqrt(1 - share * share) * own
    levels = np.random.default_rng(_LEVELS_SEED).standard_normal((own.shape[1], features))
    found: Floats = mixed + levels
    return found


def _panel(values: Floats) -> Panel:
    seconds, tickers, features = values.shape
    time_us: Ints = START_US + SECOND_US * np.arange(seconds, dtype=np.int64)
    columns = tuple(Column(f"f{number}") for number in range(features))
    return Panel(_tickers(tickers), columns, time_us, values)


def _tickers(count: int) -> tuple[str, ...]:
    return tuple(f"T{number}" for number in range(count))
