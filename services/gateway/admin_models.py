"""Shapes of what operators ask for, as OpenAPI shows them; field names are those of `controls`."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from services.domain.amounts import QUANTITY_MAX, parse_price
from services.domain.controls import (
    UNCHANGED,
    Control,
    Deposit,
    Halt,
    KillSwitch,
    OpenAccount,
    Resume,
    SetLimits,
    SetMark,
)
from services.gateway.models import Answer
from services.gateway.request_models import FollowUpRequest, Id, Price, Ticker

SHARES_MAX = 2**63 - 1


def _read_amount(value: object) -> object:
    if not isinstance(value, str):
        msg = 'must be a decimal string like "1000000.00", so that no digit is lost'
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns only ValueError into a fault
    if parse_price(value) < 0:
        msg = "must not be below 0"
        raise ValueError(msg)
    return value


Amount = Annotated[
    str,
    BeforeValidator(_read_amount),
    Field(
        json_schema_extra={"pattern": r"^[0-9]{1,12}(\.[0-9]{1,4})?$", "format": "decimal"},
        examples=["1000000.00"],
    ),
]
Shares = Annotated[int, Field(ge=0, le=SHARES_MAX, examples=[10_000])]


class TickerRequest(FollowUpRequest):
    ticker: Ticker


class HaltRequest(TickerRequest):
    """Halt a ticker: it takes cancels and refuses the rest."""

    def control(self, command_id: str) -> Control:
        return Halt(command_id, self.ticker)


class ResumeRequest(TickerRequest):
    """Open a halted ticker again."""

    def control(self, command_id: str) -> Control:
        return Resume(command_id, self.ticker)


class MarkRequest(TickerRequest):
    """State a ticker's mark before its first trade."""

    mark: Price = Field(description="Dollars a share.")

    def control(self, command_id: str) -> Control:
        return SetMark(command_id, self.ticker, parse_price(self.mark))


class KillRequest(FollowUpRequest):
    """Cancel all of an account's orders and refuse new ones, or lift that."""

    account: Id
    engaged: bool

    def control(self, command_id: str) -> Control:
        return KillSwitch(command_id, self.account, self.engaged)


class OpenAccountRequest(FollowUpRequest):
    """Open an account; its limits count every resting order at its worst."""

    account: Id
    position_max: Shares = Field(description="Most shares in one ticker.")
    notional_max: Amount = Field(description="Most money in one ticker, dollars.")
    exposure_max: Amount = Field(description="Most money over all tickers, dollars.")
    short_allowed: bool = False

    def control(self, command_id: str) -> Control:
        return OpenAccount(
            client_command_id=command_id,
            account=self.account,
            position_max=self.position_max,
            notional_max=parse_price(self.notional_max),
            exposure_max=parse_price(self.exposure_max),
            short_allowed=self.short_allowed,
        )


class DepositRequest(FollowUpRequest):
    """Add shares to an account's opening position; a negative quantity takes away."""

    account: Id
    ticker: Ticker
    quantity: Annotated[int, Field(ge=-QUANTITY_MAX, le=QUANTITY_MAX, examples=[500])]

    def control(self, command_id: str) -> Control:
        return Deposit(command_id, self.account, self.ticker, self.quantity)


class LimitsRequest(FollowUpRequest):
    """Change limits; what is left away stays. Above a lowered cap only what raises none passes."""

    account: Id
    ticker: Ticker | None = Field(
        default=None, description="Position and notional of this ticker alone; absent: of all."
    )
    position_max: Shares | None = None
    notional_max: Amount | None = None
    exposure_max: Amount | None = None
    short_allowed: bool | None = None

    def control(self, command_id: str) -> Control:
        return SetLimits(
            client_command_id=command_id,
            account=self.account,
            ticker=self.ticker or "",
            position_max=UNCHANGED if self.position_max is None else self.position_max,
            notional_max=_amount_or_unchanged(self.notional_max),
            exposure_max=_amount_or_unchanged(self.exposure_max),
            short_allowed=UNCHANGED if self.short_allowed is None else int(self.short_allowed),
        )


type AdminRequest = (
    HaltRequest
    | ResumeRequest
    | MarkRequest
    | KillRequest
    | OpenAccountRequest
    | DepositRequest
    | LimitsRequest
)


class ControlTaken(Answer):
    """The control is durable in `controls`. Risk's next report, or the book, says what it did."""

    client_command_id: str


EXAMPLES: dict[type[BaseModel], dict[str, dict[str, Any]]] = {
    HaltRequest: {"halt": {"client_command_id": "op-1", "ticker": "AAPL"}},
    ResumeRequest: {"resume": {"client_command_id": "op-2", "ticker": "AAPL"}},
    MarkRequest: {"mark": {"client_command_id": "op-3", "ticker": "AAPL", "mark": "187.20"}},
    KillRequest: {
        "kill": {"client_command_id": "op-4", "account": "alice", "engaged": True},
        "lift": {"client_command_id": "op-5", "account": "alice", "engaged": False},
    },
    OpenAccountRequest: {
        "open": {
            "client_command_id": "op-6",
            "account": "carol",
            "position_max": 10_000,
            "notional_max": "1000000",
            "exposure_max": "2000000",
        }
    },
    DepositRequest: {
        "deposit": {
            "client_command_id": "op-7",
            "account": "carol",
            "ticker": "AAPL",
            "quantity": 500,
        }
    },
    LimitsRequest: {
        "one ticker": {
            "client_command_id": "op-8",
            "account": "carol",
            "ticker": "AAPL",
            "position_max": 100,
        }
    },
}
"""Requests to copy; a test sends each."""


def _amount_or_unchanged(amount: str | None) -> int:
    return UNCHANGED if amount is None else parse_price(amount)
