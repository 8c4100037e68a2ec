"""What reaches the log from outside the rooms' own turns: strangers, and requests under way."""

from random import Random

from services.runtime.errors import FencedError
from services.runtime.memory_log import MemoryLog, Transaction, TransactionState
from services.runtime.ports import Outgoing
from services.tools.proof.vopr.client import Client
from services.tools.proof.vopr.process import RoomProcess
from services.wire.topics import ACCOUNTS, MATCHING, ORDERS


class Outsiders:
    """Strangers with transactions of their own or junk, and commits that arrive late."""

    def __init__(self, random: Random, log: MemoryLog, client: Client) -> None:
        self._random = random
        self._log = log
        self._client = client
        self.junk: set[tuple[bytes | None, bytes]] = set()
        """What strangers wrote where only rooms write, by key and value."""
        self._open: list[tuple[Transaction, int]] = []
        self._under_way: list[tuple[Transaction, int]] = []
        """Commits whose process gave up, and that may yet arrive."""
        self._strangers = 0

    def come(self) -> str:
        """Somebody's transaction on `orders`, or junk where only rooms write."""
        drawn = self._random.random()
        if drawn < 0.3:
            topic = ACCOUNTS if drawn < 0.2 else MATCHING
            junk = Outgoing(topic.name, int(drawn * 1e6) % 4, None, f"junk {drawn}".encode())
            self.junk.add((None, junk.value))
            return f"junk {topic.name}@{self._log.append(junk)}"
        if drawn < 0.6 and self._open:
            return f"stranger ends {self._end(*self._open.pop(0), commit=drawn < 0.5)}"
        self._strangers += 1
        transactional_id = f"stranger-{self._strangers}"
        epoch = self._log.initialise(transactional_id)
        transaction = self._log.begin(transactional_id, epoch)
        sent = self._client.compose()
        self._log.write(transaction, epoch, Outgoing(sent.topic, sent.partition, None, sent.value))
        self._open.append((transaction, epoch))
        return f"{transactional_id} writes to {ORDERS.name}"

    def lose_commit(self, process: RoomProcess) -> None:
        """A request to commit is on its way although nobody waits for its answer any more."""
        lost = None if process.producer is None else process.producer.let_go()
        if lost is not None:
            self._under_way.append(lost)

    def arrive(self) -> str:
        """A commit that was under way arrives."""
        if not self._under_way:
            return "nothing arrives"
        return f"arrives {self._end(*self._under_way.pop(0), commit=True)}"

    def end_all(self) -> None:
        """All that is under way or open comes to its end."""
        for transaction, epoch in (*self._under_way, *self._open):
            self._end(transaction, epoch, commit=True)

    def _end(self, transaction: Transaction, epoch: int, *, commit: bool) -> str:
        name = transaction.transactional_id
        if transaction.state is not TransactionState.OPEN:
            return f"{name} too late"
        try:
            self._log.end(transaction, epoch, commit=commit)
        except FencedError:
            return f"{name} fenced"
        return name
