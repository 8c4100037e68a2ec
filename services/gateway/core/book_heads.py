"""Which book a record of `book` is, read without decoding the rest; see heads.py for why."""

from collections.abc import Callable
from typing import Final

from services.domain.events import BookDepth
from services.gateway.core.heads import begins_with, skip_longs, take_long
from services.wire.codec import HEADER_BYTES, MALFORMED_AVRO, Codec, UndecodableError
from services.wire.topics import BOOK

_BEFORE_OFFSET: Final = 2
"""Numbers of the origin before its offset."""


class BookHeadReader:
    """Reads the sequences of `book` records: the offsets in `matching` that they state."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._readers: dict[bytes, Callable[[bytes], int]] = {}
        """By framing header, which names the schema version."""

    def read(self, value: bytes) -> int:
        """The sequence of one record.

        Raises:
            UndecodableError: it is no record of `book`.
        """
        header = value[:HEADER_BYTES]
        read = self._readers.get(header)
        if read is None:
            read = self._readers[header] = self._choose(value)
        try:
            return read(value)
        except IndexError as error:
            raise UndecodableError(MALFORMED_AVRO, "the record ends within its head") from error

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
