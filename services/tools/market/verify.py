"""From what three topics hold to the oracle, in the order in which it has to hear it.

A record of `book` speaks of one offset of `matching`, and the fold can be compared with it only
while it stands exactly there. So the fold is held back: it goes on to the offset of the next
`book` record, once there is one. What the matcher has not committed yet has no such record, so
nothing is held back for longer than the matcher takes. Pure.
"""

from collections import deque

from services.tools.market.oracle import Oracle
from services.tools.operate.exchange import Seen
from services.wire.topics import BOOK, MATCHING, TRADES


class Verifier:
    """Takes records of `matching`, `trades` and `book` as they come, each topic in order."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._matching: deque[Seen] = deque()
        self._matching_end = -1
        """Offset of the last record of `matching` taken."""
        self._folded = -1
        """Offset of the last record of `matching` folded."""
        self._trades: deque[Seen] = deque()
        self._depths: deque[Seen] = deque()
        self._next: dict[str, int] = {}

    def next_offset(self, topic: str) -> int:
        """The offset from which on nothing was taken yet."""
        return self._next.get(topic, 0)

    def take(self, seen: Seen) -> None:
        """One record more; of another topic, nothing happens."""
        self._next[seen.topic] = seen.offset + 1
        if seen.topic == MATCHING.name:
            self._matching.append(seen)
            self._matching_end = seen.offset
        elif seen.topic == TRADES.name:
            self._trades.append(seen)
        elif seen.topic == BOOK.name:
            self._depths.append(seen)

    def advance(self) -> None:
        """Fold and compare as far as the records taken allow."""
        while self._depths and _cause(self._depths[0]) <= self._matching_end:
            seen = self._depths.popleft()
            self._fold_through(_cause(seen))
            self._oracle.check_depth(seen.offset, seen.decoded)
        self._check_trades()

    def finish(self) -> None:
        """No more records will come: fold and compare all there is."""
        self.advance()
        self._fold_through(self._matching_end)
        for seen in self._depths:  # of offsets that `matching` does not have
            self._oracle.check_depth(seen.offset, seen.decoded)
        self._check_trades()
        for seen in self._trades:
            self._oracle.check_trade(seen.offset, seen.decoded)
        self._oracle.finish_commands()
        self._oracle.finish_feeds()

    def _fold_through(self, offset: int) -> None:
        while self._matching and self._matching[0].offset <= offset:
            seen = self._matching.popleft()
            self._oracle.fold(seen.offset, seen.decoded)
            self._folded = seen.offset

    def _check_trades(self) -> None:
        while self._trades and _cause(self._trades[0]) <= self._folded:
            seen = self._trades.popleft()
            self._oracle.check_trade(seen.offset, seen.decoded)


def _cause(seen: Seen) -> int:
    """The offset of `matching` that a feed's record came from."""
    origin = seen.decoded.origin
    assert origin is not None, f"{seen.topic} offset {seen.offset} has no origin"
    return origin.offset
