"""What operators do: `Client.admin` and `AsyncClient.admin`. Needs a key with the scope admin.

Each call returns once the control is durable in `controls`; a report of risk, or the book, says
what it did. A `command_id` of the caller's own lets it be sent again: it is done once.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from services.client import admin_calls as calls
from services.client.admin_calls import NewAccount, NewLimits
from services.client.answers import ControlTaken
from services.client.calls import Call, Price


class Admin:
    """Of the blocking client."""

    def __init__(self, send: Callable[[Call[Any]], ControlTaken]) -> None:
        self._send = send

    def halt(self, ticker: str, command_id: str | None = None) -> ControlTaken:
        """Halt a ticker: it takes cancels and refuses the rest."""
        return self._send(calls.halt(ticker, command_id))

    def resume(self, ticker: str, command_id: str | None = None) -> ControlTaken:
        return self._send(calls.resume(ticker, command_id))

    def set_mark(self, ticker: str, price: Price, command_id: str | None = None) -> ControlTaken:
        """State a ticker's mark before its first trade."""
        return self._send(calls.mark(ticker, price, command_id))

    def kill(self, account: str, command_id: str | None = None) -> ControlTaken:
        """Cancel all of an account's orders and refuse new ones."""
        return self._send(calls.kill(account, engaged=True, command_id=command_id))

    def lift_kill(self, account: str, command_id: str | None = None) -> ControlTaken:
        return self._send(calls.kill(account, engaged=False, command_id=command_id))

    def open_account(self, account: NewAccount, command_id: str | None = None) -> ControlTaken:
        return self._send(calls.open_account(account, command_id))

    def deposit(
        self, account: str, ticker: str, quantity: int, command_id: str | None = None
    ) -> ControlTaken:
        """Add shares to an account's opening position; below 0 takes away."""
        return self._send(calls.deposit(account, ticker, quantity, command_id))

    def set_limits(self, limits: NewLimits, command_id: str | None = None) -> ControlTaken:
        return self._send(calls.set_limits(limits, command_id))


class AsyncAdmin:
    """Of the client for an event loop."""

    def __init__(self, send: Callable[[Call[Any]], Awaitable[ControlTaken]]) -> None:
        self._send = send

    async def halt(self, ticker: str, command_id: str | None = None) -> ControlTaken:
        """Halt a ticker: it takes cancels and refuses the rest."""
        return await self._send(calls.halt(ticker, command_id))

    async def resume(self, ticker: str, command_id: str | None = None) -> ControlTaken:
        return await self._send(calls.resume(ticker, command_id))

    async def set_mark(
        self, ticker: str, price: Price, command_id: str | None = None
    ) -> ControlTaken:
        """State a ticker's mark before its first trade."""
        return await self._send(calls.mark(ticker, price, command_id))

    async def kill(self, account: str, command_id: str | None = None) -> ControlTaken:
        """Cancel all of an account's orders and refuse new ones."""
        return await self._send(calls.kill(account, engaged=True, command_id=command_id))

    async def lift_kill(self, account: str, command_id: str | None = None) -> ControlTaken:
        return await self._send(calls.kill(account, engaged=False, command_id=command_id))

    async def open_account(
        self, account: NewAccount, command_id: str | None = None
    ) -> ControlTaken:
        return await self._send(calls.open_account(account, command_id))

    async def deposit(
        self, account: str, ticker: str, quantity: int, command_id: str | None = None
    ) -> ControlTaken:
        """Add shares to an account's opening position; below 0 takes away."""
        return await self._send(calls.deposit(account, ticker, quantity, command_id))

    async def set_limits(self, limits: NewLimits, command_id: str | None = None) -> ControlTaken:
        return await self._send(calls.set_limits(limits, command_id))
