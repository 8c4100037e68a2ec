"""What each account holds and may do, as the last reports that say so."""

import msgspec

from services.domain.codes import EXEC_NEW, NO_ORDER, REJECTED
from services.domain.ids import ticker_of
from services.gateway.core.recorded import Recorded


class TickerReports(msgspec.Struct, gc=False):
    """The last reports of an account in one ticker; records of `executions`."""

    accepted: bytes | None = None
    """The last NEW: its money and shares at worst are those of the order's acceptance."""
    other: bytes | None = None
    """The last of any other kind: its figures are those after the event."""


class AccountReports(msgspec.Struct, gc=False):
    state: bytes | None = None
    """The last ACCOUNT_STATE; None: none since the feed begins."""
    tickers: dict[str, TickerReports] = msgspec.field(default_factory=dict)


class Holdings:
    """The reports that say an account's limits and positions. Nothing is decoded here."""

    def __init__(self) -> None:
        self._accounts: dict[str, AccountReports] = {}

    def begin(self, recorded: Recorded) -> None:
        """Know what was said before the first report is folded."""
        assert not self._accounts, "it has begun already"
        for account, value in recorded.states:
            self._of(account).state = value
        for held in recorded.tickers:
            self._of(held.account).tickers[held.ticker] = TickerReports(held.accepted, held.other)

    def note_state(self, account: str, value: bytes) -> None:
        """Fold an ACCOUNT_STATE."""
        self._of(account).state = value

    def note_report(
        self, account: str, order_id: str, status: int, exec_type: int, value: bytes
    ) -> None:
        """Fold an execution report.

        One that rejects says nothing new of the holdings, and may name a ticker that is none.
        """
        if status in (NO_ORDER, REJECTED):
            return
        tickers = self._of(account).tickers
        ticker = ticker_of(order_id)
        reports = tickers.get(ticker)
        if reports is None:
            reports = tickers[ticker] = TickerReports()
        if exec_type == EXEC_NEW:
            reports.accepted = value
        else:
            reports.other = value

    def find(self, account: str) -> AccountReports | None:
        """What was said of the account; None: nothing."""
        return self._accounts.get(account)

    def _of(self, account: str) -> AccountReports:
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = AccountReports()
        return found
