"""A day or a second as somebody types it, and the microseconds that it means."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
import typer

_DAY: Final = "%Y-%m-%d"
_SECOND: Final = "%Y-%m-%dT%H:%M:%S"
_DAY_LETTERS: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Span(msgspec.Struct, frozen=True):
    """All of a day, or one second: rows stand on whole ones."""

    first_us: int
    last_us: int
    """Included."""


def parse_span(text: str) -> Span:
    """A day, or a second of UTC, midnight too.

    Raises:
        typer.BadParameter: it is neither.
    """
    is_day = len(text) <= _DAY_LETTERS
    try:
        begin = datetime.strptime(text, _DAY if is_day else _SECOND).replace(tzinfo=UTC)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r:.40} is no day and no second (UTC): type 2026-09-21 or 2026-09-21T14:20:00"
        ) from error
    begin_us = (begin - _EPOCH) // timedelta(microseconds=1)
    return Span(begin_us, begin_us + (86_400_000_000 - 1 if is_day else 0))


def bounds_us(first: Span | None, last: Span | None) -> tuple[int | None, int | None]:
    """Where the one begins and where the other ends; None: no bound."""
    return (first.first_us if first else None), (last.last_us if last else None)


First = Annotated[
    Span | None, typer.Option("--from", parser=parse_span, help="First day or second (UTC).")
]
Last = Annotated[
    Span | None,
    typer.Option("--to", parser=parse_span, help="Last day or second (UTC), included."),
]
