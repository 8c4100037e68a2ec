"""Which book a record of `book` is, read without decoding the rest; see heads.py for why."""

from collections.abc import Callable
from typing import Final

from services.domain.events import BookDepth
from services.gateway.core.heads import TopicHeads, begins_with, skip_longs, take_long
from services.wire.codec import HEADER_BYTES
from services.wire.topics import BOOK

_BEFORE_OFFSET: Final = 2
"""Numbers of the origin before its offset."""


class BookHeadReader(TopicHeads[int]):
    """Of `book`: the sequences, which are the offsets in `matching` that they state."""

    def _choose(self, value: bytes) -> Callable[[bytes], int]:
        cls, schema = self._codec.writer_of(BOOK.name, value)
        is_known = cls is BookDepth and begins_with(schema, (("origin", "record"),))
        return _read_offset if is_known else self._decode

    def _decode(self, value: bytes) -> int:
        origin = self._codec.decode(BOOK.name, value).origin
        assert origin is not None, "a book without an origin"
        return origin.offset


def _read_offset(value: bytes) -> int:
    offset, _ = take_long(value, skip_longs(value, HEADER_BYTES, _BEFORE_OFFSET))
    return offset
