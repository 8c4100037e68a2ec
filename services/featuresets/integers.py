"""Division and square root of integers, each with its rounding stated. No float takes part."""

from math import isqrt


def divide(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest integer, halves to the even one.

    Raises:
        AssertionError: the denominator is not positive.
    """
    assert denominator > 0, f"divided by {denominator}"
    quotient, rest = divmod(numerator, denominator)
    twice = rest + rest
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def square_root(numerator: int, denominator: int = 1) -> int:
    """The root of the ratio rounded to the nearest integer, halves up.

    Exact for any size: the floor of twice the root decides the rounding.

    Raises:
        AssertionError: the numerator is negative or the denominator not positive.
    """
    assert numerator >= 0, f"the root of {numerator}"
    assert denominator > 0, f"divided by {denominator}"
    return (isqrt(4 * numerator // denominator) + 1) // 2
