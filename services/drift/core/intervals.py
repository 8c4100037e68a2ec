"""Exact intervals of shares, from the binomial distribution."""

from math import exp, lgamma, log, log1p
from typing import Final

_HALVINGS: Final = 60
"""After them nothing is left of a float between 0 and 1."""


def beta_quantile(share: float, a: int, b: int) -> float:
    """Where the beta distribution of whole a and b has `share` below it.

    The a-th least of a + b - 1 uniform numbers is so distributed: by it P(x) is that at least a of
    them are below x.
    """
    assert a >= 1, f"a = {a}"
    assert b >= 1, f"b = {b}"
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if 1.0 - _at_most(a - 1, a + b - 1, middle) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def binomial_quantile(share: float, count: int, chance: float) -> int:
    """The least number of successes that, or fewer, come with at least that probability."""
    for successes in range(count):
        if _at_most(successes, count, chance) >= share:
            return successes
    return count


def share_interval(successes: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's: where the chance lies of which this was the outcome."""
    assert 0 <= successes <= count, f"{successes} of {count}"
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, successes, count - successes + 1) if successes else 0.0
    high = 1.0
    if successes < count:
        high = beta_quantile(1 - tail, successes + 1, count - successes)
    return low, high


def _at_most(successes: int, count: int, chance: float) -> float:
    if successes >= count or chance <= 0.0:
        return 1.0
    if chance >= 1.0:
        return 0.0
    yes, no = log(chance), log1p(-chance)
    total = sum(
        exp(lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1) + k * yes + (count - k) * no)
        for k in range(successes + 1)
    )
    return min(total, 1.0)
