"""A TCP relay before PostgreSQL that loses what a test wants lost."""

import selectors
import socket
import threading
from enum import Enum
from types import TracebackType
from typing import Final, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_CHUNK_BYTES: Final = 1 << 16
_REPLY_WAIT_S: Final = 10.0
_COMMIT: Final = b"COMMIT"


class Fault(Enum):
    """What happens to the next COMMIT."""

    NONE = "none"
    LOSE_COMMIT = "cut the line before the server sees it"
    LOSE_ANSWER = "cut the line after the server has done it"


class PostgresProxy:
    """Relays to one server. Clients connect to `dsn`."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self._target = (str(parts["host"]), int(str(parts["port"])))
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        # Encrypted, a COMMIT could not be seen.
        self.dsn = make_conninfo(
            dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable"
        )
        self.fault = Fault.NONE
        self.faults_done = 0
        self.away = False
        """Refuse (and cut) every connection."""
        self._closing = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        # Wakes the accepting thread.
        socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closing:
                client.close()
                return
            if self.away:
                client.close()
                continue
            thread = threading.Thread(target=self._relay, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            selector = selectors.DefaultSelector()
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._closing and not self.away:
                for key, _ in selector.select(timeout=0.05):
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    try:
                        data = source.recv(_CHUNK_BYTES)
                        if not data or (source is client and self._cuts(data, server)):
                            return
                        target.sendall(data)
                    except OSError:
                        return

    def _cuts(self, data: bytes, server: socket.socket) -> bool:
        if self.fault is Fault.NONE or _COMMIT not in data:
            return False
        if self.fault is Fault.LOSE_ANSWER:
            server.sendall(data)
            server.settimeout(_REPLY_WAIT_S)
            assert server.recv(_CHUNK_BYTES), "the server answers a COMMIT"
        self.fault = Fault.NONE
        self.faults_done += 1
        return True
