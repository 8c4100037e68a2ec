"""Which question each command is: what is sent where, and what counts as its answer."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from services.domain import codes
from services.domain.commands import CancelOrder, PlaceOrder
from services.domain.controls import (
    Deposit,
    Halt,
    KillSwitch,
    OpenAccount,
    Resume,
    SetLimits,
    SetMark,
)
from services.domain.events import AccountState, BookDepth, ExecutionReport
from services.domain.genesis import TICKERS
from services.domain.ids import ticker_of
from services.domain.reasons import Reason
from services.domain.rejections import REJECTIONS
from services.runtime.ports import LogReader, TopicPartition
from services.tools.operate.ask import Question
from services.tools.operate.errors import RefusedError
from services.tools.operate.exchange import Seen
from services.tools.operate.tail import read_tail
from services.wire import topics
from services.wire.codec import Codec
from services.wire.partition import account_partition

type AccountControl = OpenAccount | Deposit | SetLimits | KillSwitch
type TickerControl = Halt | Resume

_REFUSALS: Final = (
    codes.EXEC_REJECTED,
    codes.EXEC_CANCEL_REJECTED,
    codes.EXEC_REPLACE_REJECTED,
    codes.EXEC_COMMAND_REJECTED,
)

_NEXT_STEPS: Final = {
    Reason.UNKNOWN_ACCOUNT.name: "open it with `outcry accounts open`",
    Reason.UNKNOWN_TICKER.name: f"{', '.join(TICKERS)} are, as shipped",
    Reason.NO_MARK.name: "state one with `outcry mark set`",
    Reason.TICKER_HALTED.name: "`outcry resume` ends that",
}
"""What who runs the exchange can do about it at once."""


def account_question(control: AccountControl) -> Question:
    """A control about one account: risk answers with its state, or refuses."""
    return _control(
        control,
        (executions_of(control.account),),
        _speaks_of(control.account, control.client_command_id),
    )


def mark_question(control: SetMark) -> Question:
    """A mark: nobody reports it, so it is done once it stands in the inbox of every risk shard."""
    shards = _shards(topics.ACCOUNTS)
    question = _control(control, shards, _is_copy_of(control))
    return msgspec.structs.replace(
        question, is_complete=lambda answers: len(answers) == len(shards)
    )


def halt_question(control: TickerControl, partition: int, status_now: int) -> Question:
    """A halt or resume: the book says its new status, or nothing if it has that status already."""
    status = codes.HALTED if isinstance(control, Halt) else codes.OPEN
    if status == status_now:
        inbox = TopicPartition(topics.MATCHING.name, partition)
        return _control(control, (inbox,), _is_copy_of(control))

    def has_status(seen: Seen) -> bool:
        depth = seen.decoded.payload
        return isinstance(depth, BookDepth) and depth.status == status

    return _control(control, (TopicPartition(topics.BOOK.name, partition),), has_status)


def place_question(order: PlaceOrder, partition: int) -> Question:
    """An order, to this partition of `orders`."""
    return Question(
        topic=topics.ORDERS.name,
        partition=partition,
        key=order.ticker,
        payload=order,
        command_id=order.client_order_id,
        answers_in=(executions_of(order.account),),
        is_answer=_speaks_of(order.account, order.client_order_id),
        is_complete=lambda answers: bool(answers) and not _is_live(answers[-1].decoded.payload),
    )


def cancel_question(cancel: CancelOrder, partition: int) -> Question:
    """A cancel, to this partition of `orders`."""
    return Question(
        topic=topics.ORDERS.name,
        partition=partition,
        key=ticker_of(cancel.order_id),
        payload=cancel,
        command_id=cancel.client_command_id,
        answers_in=(executions_of(cancel.account),),
        is_answer=_speaks_of(cancel.account, cancel.client_command_id),
    )


def executions_of(account: str) -> TopicPartition:
    """Where risk speaks of this account."""
    partition = account_partition(account, topics.ACCOUNT_PARTITIONS)
    return TopicPartition(topics.EXECUTIONS.name, partition)


def read_status(log: LogReader, codec: Codec, partition: int) -> int:
    """A ticker's status as its book last said; open before it said anything.

    Raises:
        RetriableError: Kafka can't be read.
    """
    last = read_tail(log, codec, TopicPartition(topics.BOOK.name, partition), 1)
    return int(last[0].decoded.payload.status) if last else codes.OPEN


def require_accepted(answers: list[Seen]) -> None:
    """Raise RefusedError with the reason's word if the last answer is a refusal."""
    report = answers[-1].decoded.payload
    if not isinstance(report, ExecutionReport):
        return
    was_rejected = (
        report.exec_type == codes.EXEC_ORDER_STATUS and report.order_status == codes.REJECTED
    )
    if report.exec_type in _REFUSALS or was_rejected:
        word = Reason(report.reason).name
        detail = REJECTIONS.get(word, "")
        step = _NEXT_STEPS.get(word)
        raise RefusedError(word, f"{detail}: {step}" if step else detail)


def _control(
    control: AccountControl | TickerControl | SetMark,
    answers_in: tuple[TopicPartition, ...],
    is_answer: Callable[[Seen], bool],
) -> Question:
    return Question(
        topic=topics.CONTROLS.name,
        partition=0,
        key="",
        payload=control,
        command_id=control.client_command_id,
        answers_in=answers_in,
        is_answer=is_answer,
    )


def _shards(topic: topics.Topic) -> tuple[TopicPartition, ...]:
    return tuple(TopicPartition(topic.name, number) for number in range(topic.partitions))


def _speaks_of(account: str, command_id: str) -> Callable[[Seen], bool]:
    """Risk's records of this account that this command caused, or that are of its order."""

    def is_answer(seen: Seen) -> bool:
        record = seen.decoded.payload
        if not isinstance(record, ExecutionReport | AccountState) or record.account != account:
            return False
        caused = record.client_command_id == command_id
        return caused or (
            isinstance(record, ExecutionReport) and record.client_order_id == command_id
        )

    return is_answer


def _is_copy_of(control: AccountControl | TickerControl | SetMark) -> Callable[[Seen], bool]:
    kind: type[Any] = type(control)

    def is_copy(seen: Seen) -> bool:
        record = seen.decoded.payload
        return isinstance(record, kind) and bool(
            record.client_command_id == control.client_command_id
        )

    return is_copy


def _is_live(record: object) -> bool:
    return isinstance(record, ExecutionReport) and record.order_status in codes.LIVE_STATUSES
