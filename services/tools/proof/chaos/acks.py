"""What clients were promised: each record that Kafka confirmed, and each command with a 2xx.

Clients write these lines while everything around them is killed, so a line is complete or is the
last one; the judge reads them once the clients pause.
"""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from services.wire.messages import Payload

NO_OFFSET: Final = -1


class Ack(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One promise."""

    partition: int
    offset: int
    """Where Kafka said it stands in `orders`; NO_OFFSET: the gateway, whose 2xx says no place."""
    digest: str
    """Of the record's bytes; empty for the gateway's."""
    account: str
    command_id: str
    """Empty for junk, which owes a dead letter instead of a report."""
    at_s: float
    """When it was heard, Unix time."""


def digest_of(value: bytes | None) -> str:
    """Tells two records apart, as short as can be."""
    return blake2b(value or b"", digest_size=8).hexdigest()


def command_id_of(payload: Payload) -> str:
    """The client's id of a command."""
    return str(getattr(payload, "client_order_id", "") or getattr(payload, "client_command_id", ""))


class AckWriter:
    """Appends promises to a file. Calls may come from several threads, each a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, ack: Ack) -> None:
        """One line, at once: the writer may be killed next."""
        self._file.write(msgspec.json.encode(ack) + b"\n")

    def close(self) -> None:
        """No more."""
        self._file.close()


class AckReader:
    """What has been added since the last reading; a line that is not complete waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def fresh(self) -> Iterator[Ack]:
        """New promises, in the order in which they were written."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                yield msgspec.json.decode(line, type=Ack)
