"""Let the crowd in: marks, accounts and opening positions, and wait until they are in force."""

import time
from typing import Final

from services.domain.controls import Deposit, OpenAccount
from services.domain.events import AccountState, ExecutionReport
from services.domain.reasons import Reason
from services.runtime.ports import TopicPartition
from services.tools.market.population import crowd_controls
from services.tools.operate.errors import NoAnswerError, RefusedError
from services.tools.operate.exchange import Exchange
from services.wire.topics import CONTROLS, EXECUTIONS

_WAIT_S: Final = 30.0
_POLL_S: Final = 0.2

_HARMLESS: Final = (Reason.ACCOUNT_EXISTS,)
"""The account was opened so long ago that its command is forgotten: it is open all the same."""


def admit_crowd(exchange: Exchange, seed: int, shard: int | None = None) -> int:
    """Publish the crowd's controls and wait for every answer; how many accounts it has.

    Twice is once: accounts that are open stay as they are.

    Raises:
        RefusedError: an account could not be opened.
        NoAnswerError: the exchange does not answer.
        UnreachableError: Kafka does not answer.
    """
    places = [TopicPartition(EXECUTIONS.name, number) for number in range(EXECUTIONS.partitions)]
    controls = crowd_controls(seed, shard)
    awaited = {c.client_command_id for c in controls if isinstance(c, OpenAccount | Deposit)}
    watch = exchange.watch(places)
    try:
        for control in controls:
            exchange.publish(CONTROLS.name, 0, "", control)
        give_up_at_s = time.monotonic() + _WAIT_S
        while awaited:
            if time.monotonic() > give_up_at_s:
                raise NoAnswerError(
                    f"{len(awaited)} of {len(controls)} controls were not answered within "
                    f"{_WAIT_S:.0f} s: see `outcry status`"
                )
            for seen in watch.poll(_POLL_S):
                answer = seen.decoded.payload
                if isinstance(answer, AccountState):
                    awaited.discard(answer.client_command_id)
                elif isinstance(answer, ExecutionReport) and answer.client_command_id in awaited:
                    if answer.reason not in _HARMLESS:
                        raise RefusedError(Reason(answer.reason).name, answer.client_command_id)
                    awaited.discard(answer.client_command_id)
    finally:
        watch.close()
    return sum(isinstance(control, OpenAccount) for control in controls)
