"""What operators ask for, as values; each becomes durable in `controls`. Sends nothing itself."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec

from services.client import answers
from services.client.calls import Call, Price

type Money = Decimal | str
"""Dollars; never a float."""


class NewAccount(msgspec.Struct, frozen=True):
    """An account to be opened; its limits count every resting order at its worst."""

    account: str
    position_max: int
    """Most shares in one ticker."""
    notional_max: Money
    """Most money in one ticker."""
    exposure_max: Money
    """Most money over all tickers."""
    short_allowed: bool = False


class NewLimits(msgspec.Struct, frozen=True):
    """Limits to be changed; what is None stays."""

    account: str
    ticker: str | None = None
    """Position and notional of this ticker alone; None: of all."""
    position_max: int | None = None
    notional_max: Money | None = None
    exposure_max: Money | None = None
    short_allowed: bool | None = None


def halt(ticker: str, command_id: str | None) -> Call[answers.ControlTaken]:
    return _control("halt", command_id, {"ticker": ticker})


def resume(ticker: str, command_id: str | None) -> Call[answers.ControlTaken]:
    return _control("resume", command_id, {"ticker": ticker})


def mark(ticker: str, price: Price, command_id: str | None) -> Call[answers.ControlTaken]:
    return _control("mark", command_id, {"ticker": ticker, "mark": str(price)})


def kill(account: str, *, engaged: bool, command_id: str | None) -> Call[answers.ControlTaken]:
    return _control("kill", command_id, {"account": account, "engaged": engaged})


def open_account(new: NewAccount, command_id: str | None) -> Call[answers.ControlTaken]:
    return _control("accounts", command_id, msgspec.structs.asdict(new))


def deposit(
    account: str, ticker: str, quantity: int, command_id: str | None
) -> Call[answers.ControlTaken]:
    body = {"account": account, "ticker": ticker, "quantity": quantity}
    return _control("deposit", command_id, body)


def set_limits(new: NewLimits, command_id: str | None) -> Call[answers.ControlTaken]:
    return _control("limits", command_id, msgspec.structs.asdict(new))


def _control(
    name: str, command_id: str | None, fields: Mapping[str, Any]
) -> Call[answers.ControlTaken]:
    command_id = command_id or uuid4().hex
    body = {"client_command_id": command_id}
    for field, value in fields.items():
        if value is not None:
            body[field] = str(value) if isinstance(value, Decimal) else value
    return Call(
        "POST",
        f"/admin/{name}",
        answers.ControlTaken,
        answers.ControlTaken,
        body=body,
        command_id=command_id,
    )
