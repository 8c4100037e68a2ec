"""Where a command becomes durable, or a problem that says what became of it."""

import asyncio
import time
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Final, Protocol
from zlib import crc32

from structlog.contextvars import bind_contextvars

from services.domain.commands import CancelAll, ClientCommand, PlaceOrder
from services.domain.genesis import TICKERS
from services.domain.ids import make_order_id, ticker_of
from services.door.problems import ProblemError
from services.gateway import metrics
from services.gateway.core.read_model import ReadModel
from services.gateway.ports import CommandLog, LogUnavailableError, OutcomeUnknownError
from services.gateway.problems import HttpReason, problem
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec
from services.wire.topics import ORDERS, TICKER_PARTITIONS

_PARTITIONS: Final = {ticker: place for place, ticker in enumerate(TICKERS)}
_ORDER_IDS_REMEMBERED: Final = 1_024

# To write a command and to answer it.
_make_order_id: Final = lru_cache(_ORDER_IDS_REMEMBERED)(make_order_id)


def orders_partition(key: str) -> int:
    """The partition of `orders` for this ticker (or account).

    The same for ever and without a look at the genesis, so that a cancel never overtakes its
    order; ingest takes a command from any partition.
    """
    known = _PARTITIONS.get(key)
    return crc32(key.encode()) % TICKER_PARTITIONS if known is None else known


def order_id_of(command: ClientCommand) -> str:
    """The order a command is about; empty for cancel-all."""
    match command:
        case PlaceOrder():
            return _make_order_id(command.account, command.client_order_id, command.ticker)
        case CancelAll():
            return ""
        case _:
            return command.order_id


def command_id_of(command: ClientCommand) -> str:
    """The client's id of the command, under which it may be sent again."""
    if isinstance(command, PlaceOrder):
        return command.client_order_id
    return command.client_command_id


class Traces(Protocol):
    """What the desk tells of its work, where traces are wanted (command_traces.py)."""

    def writing(self, order_id: str) -> AbstractContextManager[bytes | None]:
        """While a command is on its way to the log; gives the header to write beside it."""


class Desk:
    """Takes commands in HTTP's name. Called from the event loop."""

    def __init__(
        self,
        codec: Codec,
        log: CommandLog,
        model: ReadModel,
        telemetry: Telemetry,
        commands_max: int,
        traces: Traces | None = None,
    ) -> None:
        self._codec = codec
        self._log = log
        self._model = model
        self._observe_append = telemetry.observer(metrics.APPEND_SECONDS)
        self._commands_max = commands_max
        self._traces = traces
        self._under_way: dict[bytes, asyncio.Future[ProblemError | None] | None] = {}
        """Commands on their way to the log, as written; who sent the same meanwhile waits for the
        future, where anyone did."""
        self.stopping = False

    async def take(
        self, command: ClientCommand, event_time_us: int, *, is_parting: bool = False
    ) -> None:
        """Return once the command is durable in `orders`.

        One that `is_parting` is taken while the gateway stops, and beyond the limit, too.
        The same command, sent again while the first is on its way, is written once and has the
        first one's outcome.

        Raises:
            ProblemError: STOPPING, OVERLOADED or LOG_UNAVAILABLE, and it was not written;
                OUTCOME_UNKNOWN, and the document says how to find out.
        """
        # In every line of this request's task from here on, whoever logs it: also of one that is
        # refused, or waits for another that sent the same.
        bind_contextvars(order_id=order_id_of(command))
        if self.stopping and not is_parting:
            raise problem(HttpReason.STOPPING, "nothing was written; send it again shortly")
        value = self._codec.encode_command(ORDERS.name, command, event_time_us)
        if value in self._under_way:
            await self._join(value)
            return
        if len(self._under_way) >= self._commands_max and not is_parting:
            raise problem(
                HttpReason.OVERLOADED,
                f"nothing was written; {self._commands_max} commands wait for the log",
            )
        outcome: ProblemError | None = None
        is_cut_off = True
        self._under_way[value] = None
        try:
            await self._write(command, value)
            is_cut_off = False
        except ProblemError as failure:
            outcome, is_cut_off = failure, False
            raise
        finally:
            joined = self._under_way.pop(value)
            if joined is not None:
                if is_cut_off:
                    outcome = _outcome_unknown(command, "the gateway stopped")
                joined.set_result(outcome)

    async def _join(self, value: bytes) -> None:
        joined = self._under_way[value]
        if joined is None:
            joined = self._under_way[value] = asyncio.get_running_loop().create_future()
        # Shielded: one who hangs up must not cancel what the others wait for.
        failure = await asyncio.shield(joined)
        if failure is not None:
            raise failure.with_traceback(None)

    async def _write(self, command: ClientCommand, value: bytes) -> None:
        order_id = order_id_of(command)
        if isinstance(command, CancelAll):
            key = command.ticker or command.account
        else:
            key = ticker_of(order_id)
        begun = time.perf_counter()
        try:
            if self._traces is None:
                await self._log.append(orders_partition(key), key.encode(), value)
            else:
                with self._traces.writing(order_id) as header:
                    await self._log.append(orders_partition(key), key.encode(), value, header)
        except LogUnavailableError as error:
            raise problem(
                HttpReason.LOG_UNAVAILABLE, f"nothing was written ({error}); send it again"
            ) from error
        except OutcomeUnknownError as error:
            raise _outcome_unknown(command, str(error)) from error
        self._observe_append(time.perf_counter() - begun)
        if isinstance(command, PlaceOrder):
            self._model.orders.note_submitted(order_id, command)


def _outcome_unknown(command: ClientCommand, cause: str) -> ProblemError:
    order_id = order_id_of(command)
    name = "client_order_id" if isinstance(command, PlaceOrder) else "client_command_id"
    members: dict[str, object] = {name: command_id_of(command)}
    if order_id:
        members["order_id"] = order_id
    return problem(
        HttpReason.OUTCOME_UNKNOWN,
        f"not confirmed ({cause}). Send it again with the same {name}: what is there already is"
        " not done twice. Or ask later, by the order's id or by its client_order_id",
        members=members,
    )
