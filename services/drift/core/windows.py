"""Windows of event time: half-open, and at the same places whoever asks for them."""

from typing import Final

import msgspec

SECOND_US: Final = 1_000_000
WINDOWS_MAX: Final = 100_000
"""Of one call: a minute's step for more than two months."""


class Window(msgspec.Struct, frozen=True, order=True):
    """Grid times from `begin_us` on, and before `end_us`."""

    begin_us: int
    end_us: int

    def __post_init__(self) -> None:
        whole = self.begin_us % SECOND_US == 0 == self.end_us % SECOND_US
        if not whole or self.begin_us >= self.end_us:
            raise ValueError("a window begins before it ends, both at whole seconds")

    @property
    def last_us(self) -> int:
        """The last grid time that is in it."""
        return self.end_us - SECOND_US


def windows_of(first_us: int, last_us: int, length_s: int, step_s: int) -> list[Window]:
    """Every window of this length that lies wholly between two grid times, both included.

    They begin at multiples of the step since the epoch, not at the first row: so a job that runs
    later, over more rows, has the same windows.

    Raises:
        ValueError: length or step is no positive number of seconds, or there are too many.
    """
    if length_s < 1 or step_s < 1:
        raise ValueError("length and step of a window are at least 1 s")
    step_us, length_us = step_s * SECOND_US, length_s * SECOND_US
    begin_us = -(-first_us // step_us) * step_us
    count = (last_us + SECOND_US - length_us - begin_us) // step_us + 1
    if count > WINDOWS_MAX:
        raise ValueError(f"{count:,} windows; {WINDOWS_MAX:,} are allowed: take a longer step")
    begins = (begin_us + number * step_us for number in range(max(count, 0)))
    return [Window(begin, begin + length_us) for begin in begins]
