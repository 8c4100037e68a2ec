"""Ending what a dead room left open, before its successor has started.

A transaction that is open hides everyone's records behind it. The room's next process ends it, but
that one must first start, which takes seconds on a busy machine; a request for its transactional
id does it at once. The request is written by hand, for the reason given in `readiness`.
"""

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

from services.tools.stack.settings import HOST

ANSWER_WAIT_S: Final = 0.5
TRANSACTION_TIMEOUT_MS: Final = 3_000
LETTERS: Final = ("a", "b", "c")
"""As `services.runtime.kafka` alternates its ids; importing that would load the client library."""
_INIT_PRODUCER_ID: Final = 22
_CLIENT_ID: Final = b"outcry-up"


def transactional_ids(prefix: str, room: str, instance: str) -> tuple[str, ...]:
    """Those of one room's process."""
    return tuple(f"{prefix}{room}-{instance}-{letter}" for letter in LETTERS)


def fence(port: int, ids: Sequence[str]) -> Callable[[], bool]:
    """Take over these ids from whoever has them, as far as the broker answers.

    The broker aborts what is open and tells the old holder so at its next request. The returned
    function says whether the broker answered; it blocks for about a second at most and never
    raises, since the room's next process does the same anyway.
    """

    def end_transactions() -> bool:
        try:
            with socket.create_connection((HOST, port), timeout=ANSWER_WAIT_S) as connection:
                connection.sendall(b"".join(map(_request, ids)))
                return all(_read_answer(connection) for _ in ids)
        except OSError:
            return False

    return end_transactions


def _request(transactional_id: str) -> bytes:
    name = transactional_id.encode()
    header = struct.pack(">hhih", _INIT_PRODUCER_ID, 0, 1, len(_CLIENT_ID)) + _CLIENT_ID
    body = struct.pack(">h", len(name)) + name + struct.pack(">i", TRANSACTION_TIMEOUT_MS)
    return struct.pack(">i", len(header) + len(body)) + header + body


def _read_answer(connection: socket.socket) -> bool:
    """Whatever it says: "concurrent transactions" means that the abort has begun."""
    size = connection.recv(4, socket.MSG_WAITALL)
    if len(size) < 4:
        return False
    length = int(struct.unpack(">i", size)[0])
    return len(connection.recv(length, socket.MSG_WAITALL)) == length
