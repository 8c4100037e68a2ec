"""Who waits for what risk and the matcher say of a command, or of another gateway's order."""

import asyncio
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, override

from services.domain.codes import (
    EXEC_COMMAND_REJECTED,
    FOK,
    IOC,
    LIVE_STATUSES,
    NO_ORDER,
    PENDING_NEW,
)
from services.domain.commands import ClientCommand, PlaceOrder
from services.domain.events import ExecutionReport
from services.gateway.core.read_model import ReadModel
from services.gateway.desk import command_id_of, order_id_of
from services.wire.codec import UndecodableError
from services.wire.topics import EXECUTIONS

_AT_ONCE: Final = (IOC, FOK)


class Awaited:
    """The first report of an account that is what somebody waits for."""

    def __init__(self) -> None:
        self._said: asyncio.Future[ExecutionReport] = asyncio.get_running_loop().create_future()

    def hear(self, report: ExecutionReport) -> None:
        """A report of the account."""
        if not self._said.done() and self._is_it(report):
            self._said.set_result(report)

    @abstractmethod
    def _is_it(self, report: ExecutionReport) -> bool: ...

    async def wait(self, seconds: float, stopping: asyncio.Event) -> ExecutionReport | None:
        """What was said, with all that came in one batch with it folded; None: not in time."""
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait(
                (self._said, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
        return self._said.result() if self._said.done() else None


class Sight(Awaited):
    """The first that is said of an order."""

    def __init__(self, order_id: str) -> None:
        super().__init__()
        self._order_id = order_id

    @override
    def _is_it(self, report: ExecutionReport) -> bool:
        return report.order_id == self._order_id


class Verdict(Awaited):
    """What was said of one command, once it was."""

    def __init__(self, command: ClientCommand) -> None:
        super().__init__()
        self.command_id = command_id_of(command)
        self.order_id = order_id_of(command)
        self._ends_at_once = (
            isinstance(command, PlaceOrder) and command.time_in_force in _AT_ONCE
        )  # fmt: skip
        self._is_answered = False

    @override
    def _is_it(self, report: ExecutionReport) -> bool:
        is_own = report.client_command_id == self.command_id
        if is_own and (report.exec_type == EXEC_COMMAND_REJECTED or self._is_orphaned(report)):
            return True
        if report.order_id != self.order_id:
            return False
        # PENDING_NEW answers a command sent again before the matcher has spoken.
        self._is_answered |= is_own and report.order_status != PENDING_NEW
        if not self._is_answered:
            return False
        return not (self._ends_at_once and report.order_status in LIVE_STATUSES)

    def _is_orphaned(self, report: ExecutionReport) -> bool:
        """Whether it answers a command about an order that is forgotten."""
        return report.order_status == NO_ORDER and report.order_id in ("", self.order_id)


class Verdicts:
    """The commands and orders that are waited for. Called from the event loop only."""

    def __init__(self, model: ReadModel) -> None:
        self._codec = model.codec
        self._awaited: dict[str, dict[Awaited, None]] = {}
        """By account."""
        self.stopping = asyncio.Event()
        model.on_report = self._hear

    @contextmanager
    def expect(self, command: ClientCommand) -> Iterator[Verdict]:
        """To be entered before the command is written, so that no answer is missed."""
        verdict = Verdict(command)
        with self._awaiting(command.account, verdict):
            yield verdict

    @contextmanager
    def expect_order(self, account: str, order_id: str) -> Iterator[Sight]:
        """To be entered right after the order was not found, so that no report is missed."""
        sight = Sight(order_id)
        with self._awaiting(account, sight):
            yield sight

    @contextmanager
    def _awaiting(self, account: str, one: Awaited) -> Iterator[None]:
        awaited = self._awaited.setdefault(account, {})
        awaited[one] = None
        try:
            yield
        finally:
            del awaited[one]
            if not awaited and self._awaited.get(account) is awaited:
                del self._awaited[account]

    def _hear(self, account: str, value: bytes) -> None:
        awaited = self._awaited.get(account)
        if not awaited:
            return
        try:
            payload = self._codec.decode(EXECUTIONS.name, value).payload
        except UndecodableError:
            return  # a stranger's; the viewer says so when somebody asks for it
        if isinstance(payload, ExecutionReport):
            for one in awaited:
                one.hear(payload)
