"""How long a column remembers, and how long a stretch must be for the next one to be news.

The integrated autocorrelation time (1 for independent values, (1 + r)/(1 - r) for a process that
keeps the share r of its last value) says how many successive values are worth one. It is summed up
to the first lag that is five times the sum so far (Sokal's window), which follows the data: a fixed
number of lags is too short for slow columns, and mostly noise for quick ones.

The squares count too: the volatility of returns clusters where their signs do not.

Classes are another matter. Row by row they are mostly noise, which ends the sum at once; what they
remember beside it is a small part of a row and most of what differs from window to window. It is
seen in their shares over longer stretches (`class_memory_seconds`).
"""

from typing import Final

import numpy as np

from services.drift.core.arrays import Floats, Ints
from services.drift.core.panel import Panel
from services.drift.core.sums import Marks, measured_values, standardised

BLOCK_TIMES: Final = 10
"""Autocorrelation times in a block. For a process that forgets exponentially, the variance of the
mean of such a block, times its length, lacks a twentieth of what a long series has, and the means
of neighbours correlate by a fortieth; both shrink as 1 / length."""
WINDOW_TIMES: Final = 5
"""Sokal's: lags in autocorrelation times."""
MEMORIES_MIN: Final = 13
"""Of classes, in a reference. A window after one that holds few of them alarms more often than it
may (docs/drift.md has how often), since the reference is one piece of a path that goes on."""
_STRETCHES: Final = 80
"""At least, of a reference, in whose shares memory is looked for; no longer than a quarter of a
window, where there are more."""
_SECONDS_AT_ONCE: Final = 16_384


def block_seconds(reference: Panel, marks: Marks, window_s: int) -> Ints:
    """Seconds that a stretch must have for each column: [tickers, measured].

    A column whose sum does not end within the lags that a window could use has more than
    `window_s`: how many is not known.
    """
    lags_max = WINDOW_TIMES * window_s // BLOCK_TIMES + 1
    length = min(len(reference), max(_SECONDS_AT_ONCE, 2 * lags_max))
    lags = min(lags_max, length // 2)
    ends = range(len(reference), length - 1, -length)
    plain = np.zeros((lags + 1, *marks.centre.shape))
    squared = np.zeros_like(plain)
    for end in ends:
        values = measured_values(reference.values[end - length : end], marks)
        z = standardised(values, marks)
        is_present = ~np.isnan(values)
        # The mean square is 1 by standardisation; an exact mean matters little to a time.
        squares = np.where(is_present, z * z - 1.0, 0.0)
        plain += autocovariance(z, lags)
        squared += autocovariance(squares, lags)
    times = np.maximum(autocorrelation_times(plain), autocorrelation_times(squared))
    return np.ceil(times * BLOCK_TIMES).astype(np.int64)


def class_memory_seconds(reference: Panel, marks: Marks, window_s: int) -> float:
    """The longest integrated autocorrelation time of the shares of any class, of any ticker.

    Too short where it is a good part of the reference, whose own mean is what it is counted from.
    """
    stretch_s = max(min(window_s // 4, len(reference) // _STRETCHES), 1)
    whole = len(reference) // stretch_s
    at_once = max(_SECONDS_AT_ONCE // stretch_s, 1) * stretch_s
    parts = []
    for begin in range(len(reference) - whole * stretch_s, len(reference), at_once):
        values = measured_values(reference.values[begin : begin + at_once], marks)
        of_class = standardised(values, marks)[:, :, len(marks.numbers) :]
        parts.append(of_class.reshape(-1, stretch_s, *of_class.shape[1:]).mean(axis=1))
    shares = np.concatenate(parts)
    covariance = autocovariance(shares - shares.mean(axis=0), whole // 2)
    return float(autocorrelation_times(covariance).max()) * stretch_s


def autocovariance(series: Floats, lags: int) -> Floats:
    """[lags + 1, tickers, measured] by way of the Fourier transform, padded to keep ends apart."""
    size = 1 << int(np.ceil(np.log2(len(series) + lags)))
    found = np.empty((lags + 1, *series.shape[1:]))
    for ticker in range(series.shape[1]):
        turned = np.fft.rfft(series[:, ticker], size, axis=0)
        power = np.square(turned.real) + np.square(turned.imag)
        found[:, ticker] = np.fft.irfft(power, size, axis=0)[: lags + 1]
    # Fewer pairs at a longer lag.
    return found / (len(series) - np.arange(lags + 1))[:, None, None]


def autocorrelation_times(covariance: Floats) -> Floats:
    """[series...] of `autocovariance`; one whose sum does not end has the number of lags."""
    variance = covariance[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(variance > 0, covariance / variance, 0.0)
    upto = 2.0 * np.cumsum(correlation, axis=0) - 1.0
    lags = np.arange(len(covariance))[:, None, None]
    is_end = lags >= WINDOW_TIMES * np.maximum(upto, 1.0)
    at = np.argmax(is_end, axis=0)
    found = np.take_along_axis(upto, at[None], axis=0)[0]
    time = np.where(is_end.any(axis=0), found, float(len(covariance)))
    return np.maximum(time, 1.0)
