"""The folds' division and root over whole arrays of 64-bit integers, with the same roundings.

Callers see to it that nothing overflows: each function says what it can bear.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

type Ints = NDArray[np.int64]
type Bools = NDArray[np.bool_]

BILLION_STEPS: Final = (1_000, 1_000, 1_000)
"""1e9 as factors, each small enough to multiply a rest by."""


def divide(numerator: Ints, denominator: Ints | int) -> Ints:
    """Rounded to the nearest integer, halves to the even one; denominators from 1 to 2**62."""
    quotient, rest = np.divmod(numerator, denominator)
    return quotient + _rounds_up(quotient, rest, denominator)


def divide_scaled(numerator: Ints, steps: tuple[int, ...], denominator: Ints) -> Ints:
    """`numerator` times the product of `steps`, divided as above, without forming the product.

    As on paper, a few digits at a time. Denominators from 1 to 2**63 over the largest step.
    """
    quotient, rest = np.divmod(numerator, denominator)
    for step in steps:
        digits, rest = np.divmod(rest * step, denominator)
        quotient = quotient * step + digits
    return quotient + _rounds_up(quotient, rest, denominator)


def square_root(value: Ints) -> Ints:
    """Rounded to the nearest integer, halves up; values from 0 to 2**60."""
    four = 4 * value
    root = np.sqrt(four.astype(np.float64)).astype(np.int64)
    # A float's root may be off by one on either side where it has no exact integers any more.
    root -= root * root > four
    root += (root + 1) * (root + 1) <= four
    return (root + 1) // 2


def _rounds_up(quotient: Ints, rest: Ints, denominator: Ints | int) -> Bools:
    twice = rest + rest
    up: Bools = (twice > denominator) | ((twice == denominator) & (quotient % 2 == 1))
    return up
