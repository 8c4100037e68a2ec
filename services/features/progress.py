"""How far a partition is done: the offset that may be committed, across what is no record.

In a transactional topic the offsets have gaps, where the markers of transactions stand and what was
aborted. Counting acknowledged offsets one by one, as Faust does, stops at the first gap.
"""


class Progress:
    """Of one partition, from where its reading began.

    Right only where each record is acknowledged in the order of the log: then everything below the
    last acknowledged one is done, and once nothing fetched is waiting, so is what lies between
    there and the reader's position.
    """

    def __init__(self, start: int) -> None:
        self._done = start
        self._fetched_end = start
        self._position = start

    def fetched(self, last_offset: int | None, position: int) -> None:
        """A fetch ended; its last record, if it brought any, and where the next one begins."""
        if last_offset is not None:
            self._fetched_end = last_offset + 1
        self._position = position

    def acknowledged(self, offset: int) -> None:
        """The record at this offset is done, and so are all before it."""
        self._done = max(self._done, offset + 1)

    def committable(self) -> int:
        """Everything below it is done."""
        waiting = self._done < self._fetched_end
        return self._done if waiting else max(self._done, self._position)
