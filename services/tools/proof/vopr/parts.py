"""What a simulated exchange is made of: the rooms' own parts on a log in memory.

A mutation (mutations.py) is a broken part in the place of a real one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.ingest.service import IngestFolds
from services.matcher.service import MatcherCores
from services.risk.service import RiskCores
from services.runtime.fold import CodedFolds, CoreFactory
from services.runtime.loop import Loop
from services.runtime.memory import MemoryConsumer, MemoryProducer
from services.runtime.memory_group import GroupToken
from services.runtime.memory_log import MemoryLog, Transaction
from services.runtime.ports import FoldFactory
from services.runtime.restore import Restorer
from services.tools.proof.vopr.ledger import MemoryLedger
from services.wire.codec import Codec
from services.wire.topics import ACCOUNTS, CONTROLS, MATCHING, ORDERS

INGEST: Final = "ingest"
RISK: Final = "risk"
MATCHER: Final = "matcher"
RECORDER: Final = "recorder"

INPUTS: Final = {
    INGEST: (ORDERS.name, CONTROLS.name),
    RISK: (ACCOUNTS.name,),
    MATCHER: (MATCHING.name,),
}
"""What each room of folds reads."""

FOLD_ROOMS: Final = (INGEST, RISK, MATCHER)


class LateProducer(MemoryProducer):
    """`MemoryProducer` whose last request may still be under way when its process gives up."""

    def let_go(self) -> tuple[Transaction, int] | None:
        """Lose the connection with a commit under way: what is open, and its epoch."""
        transaction, self._open = self._open, None
        if transaction is None or self._failure is not None:
            return None
        return transaction, self._epochs[transaction.transactional_id]


def _as_it_is(folds: FoldFactory) -> FoldFactory:
    return folds


_RISK: Final = RiskCores()
_MATCHER: Final = MatcherCores()


@dataclass(frozen=True)
class Parts:
    """The parts.

    `reference_*` are those the checks fold with: broken ones too, if both are to be wrong in the
    same way, so that only the second implementation can tell.
    """

    loop: type[Loop[GroupToken]] = Loop
    restorer: type[Restorer] = Restorer
    consumer: type[MemoryConsumer] = MemoryConsumer
    producer: type[LateProducer] = LateProducer
    ledger: type[MemoryLedger] = MemoryLedger
    risk: CoreFactory = _RISK
    matcher: CoreFactory = _MATCHER
    reference_risk: CoreFactory = _RISK
    around_folds: Callable[[FoldFactory], FoldFactory] = _as_it_is
    """Wraps a room's folds."""

    def folds(self, room: str, codec: Codec) -> FoldFactory:
        """A room's folds. Strangers' junk is passed over in silence."""
        if room == INGEST:
            return self.around_folds(IngestFolds(codec))
        cores = self.risk if room == RISK else self.matcher
        return self.around_folds(CodedFolds(cores, codec, lambda _record, _error: None))


def make_consumer(parts: Parts, log: MemoryLog, room: str, instance: str) -> MemoryConsumer:
    """A member of a room's group."""
    return parts.consumer(log, room, instance)


def make_producer(parts: Parts, log: MemoryLog, room: str, instance: str) -> LateProducer:
    """A writer under an instance's transactional ids."""
    return parts.producer(log, [f"{room}-{instance}-{letter}" for letter in "abc"])
