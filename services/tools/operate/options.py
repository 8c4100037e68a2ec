"""Options and arguments that several commands share, read and checked in one place."""

import re
from collections.abc import Callable
from typing import Annotated, Final

import typer

from services.domain import codes
from services.domain.ids import ID_LENGTH_MAX, is_valid_id
from services.tools.operate.spelling import read_amount, read_price

TIMEOUT_S: Final = 10.0

INT64_MAX: Final = 2**63 - 1


def parser[T](read: Callable[[str], T]) -> Callable[[str], T]:
    """A parser whose ValueError is shown as it stands, exit code 2."""

    def parse(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse


def read_quantity(text: str) -> int:
    """A whole number that a record can carry, negative too."""
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(number := int(text)) > INT64_MAX:
        raise ValueError(f"{text[:40]!r} is not a whole number of shares")
    return number


def read_shares(text: str) -> int:
    """As `read_quantity`, but not below zero."""
    shares = read_quantity(text)
    if shares < 0:
        raise ValueError(f"{text} shares are less than none")
    return shares


def read_account(text: str) -> str:
    """A name that an account may have, or none: so that no other is written to the log."""
    if text and not is_valid_id(text):
        raise ValueError(
            f"an account has 1 to {ID_LENGTH_MAX} printable ASCII characters without spaces,"
            f" {text[:40]!r} has not"
        )
    return text


def read_side(text: str) -> int:
    """BUY or SELL, in any case."""
    return codes.code_of(codes.SIDE_NAMES, text.upper())


def read_time_in_force(text: str) -> int:
    """GTC, IOC or FOK, in any case."""
    return codes.code_of(codes.TIME_IN_FORCE_NAMES, text.upper())


def read_self_trade_prevention(text: str) -> int:
    """CANCEL_RESTING, CANCEL_INCOMING or NONE; case and dashes do not matter."""
    return codes.code_of(codes.SELF_TRADE_PREVENTION_NAMES, text.upper().replace("-", "_"))


TimeoutS = Annotated[
    float, typer.Option("--timeout-s", min=0.1, help="How long to wait for the answer, seconds.")
]
CommandId = Annotated[
    str,
    typer.Option(
        "--client-command-id",
        help="Names this command; the same one again does nothing twice. Made up if not given.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Dollars(int):
    """A price in 1/10000 dollar: help shows this class's name for what an argument takes."""


class Shares(int):
    """A whole number of shares, likewise."""


class Side(int):
    """BUY or SELL as its code, likewise."""


def as_dollars(text: str) -> Dollars:
    """As `read_price`."""
    return Dollars(read_price(text))


Account = Annotated[
    str,
    typer.Argument(metavar="ACCOUNT", parser=parser(read_account), help="Name of the account."),
]
Ticker = Annotated[str, typer.Argument(metavar="TICKER", help="For example AAPL.")]
Price = Annotated[
    Dollars,
    typer.Argument(
        metavar="PRICE", parser=parser(as_dollars), help="Decimal dollars, for example 187.25."
    ),
]
Quantity = Annotated[
    Shares,
    typer.Argument(metavar="QUANTITY", parser=parser(lambda text: Shares(read_quantity(text)))),
]
OrderQuantity = Annotated[
    Shares,
    typer.Argument(metavar="QUANTITY", parser=parser(lambda text: Shares(read_shares(text)))),
]
OrderSide = Annotated[
    Side, typer.Argument(metavar="BUY|SELL", parser=parser(lambda text: Side(read_side(text))))
]


def dollars(name: str, meaning: str) -> object:
    """An option that takes an amount of money."""
    return typer.Option(name, metavar="DOLLARS", parser=parser(read_amount), help=meaning)


def shares(name: str, meaning: str) -> object:
    """An option that takes a number of shares."""
    return typer.Option(name, metavar="SHARES", parser=parser(read_shares), help=meaning)
