"""Who may open a WebSocket, and whose executions it may hear.

Credentials come in the handshake's headers or, for browsers, in a message; never in the address.
"""

from collections import Counter
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.websockets import WebSocket

from services.domain.ids import is_valid_id
from services.door.guard import require_own_host
from services.door.problems import ProblemError
from services.gateway.access import (
    Access,
    Caller,
    Signature,
    check_signature,
    key_of,
    signature_of,
)
from services.gateway.access_layer import address_of, refuse_key_in_url, signed_request
from services.gateway.core.keys import READ, SignedRequest
from services.gateway.hub import Hub
from services.gateway.problems import HttpReason, problem
from services.gateway.session import KEY_ENDED, TRY_AGAIN_LATER, Session
from services.gateway.settings import GatewaySettings
from services.gateway.signatures import CHALLENGE

ACCOUNT_HEADER: Final = "X-Outcry-Account"
ACCOUNT_PARAMETER: Final = "account"
AUTHENTICATE: Final = "authenticate"
SIGNED_METHOD: Final = "WS"
"""Stands for the method in what a message of the WebSocket signs; its path is /ws."""
_SIGNED_MEMBERS: Final = ("key_id", "timestamp_ms", "signature")


class SocketEntry:
    """Lets WebSocket clients in. Called on the event loop."""

    def __init__(self, settings: GatewaySettings, access: Access, hub: Hub) -> None:
        self._settings = settings
        self._access = access
        self._hub = hub
        self._of_address: Counter[str] = Counter()

    def admit(self, socket: WebSocket, *, stopping: bool) -> Session:
        """A session for this client; call `leave` when it is gone.

        Raises:
            ProblemError: it may not come in; nothing is kept of it.
        """
        settings = self._settings
        require_own_host(
            socket.headers.get("host", ""),
            settings.gateway_host,
            settings.gateway_port,
            settings.host_names,
        )
        origin = socket.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != socket.headers.get("host"):
            # Browsers let any site's page open a WebSocket here; they only tell us which.
            raise problem(HttpReason.WRONG_ORIGIN, "open it from a page of this service")
        self.count(socket)
        if stopping:
            raise problem(HttpReason.STOPPING, "connect again shortly")
        if len(self._hub) >= settings.gateway_sockets_max:
            raise problem(HttpReason.OVERLOADED, "too many WebSockets are open")
        address = address_of(socket.scope)
        if self._of_address[address] >= settings.gateway_sockets_of_address_max:
            raise problem(HttpReason.OVERLOADED, "too many WebSockets of this address are open")
        session = self._session_of(socket)
        self._of_address[address] += 1
        return session

    def leave(self, socket: WebSocket) -> None:
        """Forget a client that `admit` let in."""
        address = address_of(socket.scope)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def count(self, socket: WebSocket) -> None:
        """Count a handshake against its address; `_session_of` counts its key.

        Raises:
            ProblemError: RATE_LIMITED.
        """
        self._access.rates.count_address(address_of(socket.scope))

    def count_message(self, socket: WebSocket, session: Session) -> None:
        """Count a message against its address, and the key that the session proved. As `count`."""
        self.count(socket)
        if session.key_id:
            self._access.rates.count_key(session.key_id)

    def authenticate(self, session: Session, document: dict[str, Any]) -> None:
        """Take the credentials of a message.

        Raises:
            ProblemError: they are not accepted; the session is as it was.
        """
        if session.account or session.key_id:
            raise problem(HttpReason.INVALID_FIELD, "authenticated already; connect once more")
        members = set(document) - {"op"}
        if members == {"key"}:
            key = document["key"]
            caller = self._access.by_key(key if isinstance(key, str) else "")
        elif members == set(_SIGNED_MEMBERS):
            caller = self._by_signed_message(document)
        else:
            raise problem(
                HttpReason.INVALID_FIELD,
                f"{AUTHENTICATE} has the member key, or {', '.join(_SIGNED_MEMBERS)}",
            )
        self._access.rates.count_key(caller.key_id)
        session.become(caller.account, caller.key_id, caller.scopes)

    def require_own(self, session: Session, scope: str = READ) -> None:
        """Refuse to let a session at an account unless it proved to be its own.

        Raises:
            ProblemError: KEY_REQUIRED, ACCOUNT_REQUIRED, SCOPE_REQUIRED.
        """
        if session.key_id:
            Caller(session.key_id, session.account, session.scopes).require(scope)
        elif not session.account and not self._access.is_open:
            raise problem(
                HttpReason.KEY_REQUIRED, f'say {{"op": "{AUTHENTICATE}", "key": ...}} first'
            )
        elif not session.account:
            raise problem(
                HttpReason.ACCOUNT_REQUIRED,
                f"connect with the header {ACCOUNT_HEADER} or ?{ACCOUNT_PARAMETER}=",
            )

    def close_ended(self) -> None:
        """Close the sessions whose keys count no more, or can't be checked any more."""
        for session in self._hub.sessions:
            if not session.key_id:
                continue
            try:
                if not self._access.still_counts(session.key_id):
                    session.close(KEY_ENDED, "the key was revoked or has expired")
            except ProblemError:
                session.close(TRY_AGAIN_LATER, "keys can't be checked at present")

    def _session_of(self, socket: WebSocket) -> Session:
        refuse_key_in_url(socket.scope)
        named = socket.headers.getlist(ACCOUNT_HEADER)
        named += socket.query_params.getlist(ACCOUNT_PARAMETER)
        if len(set(named)) > 1 or any(not is_valid_id(account) for account in named):
            raise problem(
                HttpReason.INVALID_PARAMETER,
                f"name one account, by the header {ACCOUNT_HEADER} or the parameter"
                f" {ACCOUNT_PARAMETER}: 1 to 64 printable ASCII characters without spaces",
            )
        account = named[0] if named else ""
        caller = self._by_headers(socket)
        if caller is None:
            if account and not self._access.is_open:
                raise problem(
                    HttpReason.KEY_REQUIRED, "an account is proved by a key", headers=CHALLENGE
                )
            return Session(account, self._settings.gateway_socket_queue_max)
        if account and account != caller.account:
            raise problem(HttpReason.WRONG_ACCOUNT, "leave the account away: the key says whose")
        session = Session("", self._settings.gateway_socket_queue_max)
        session.become(caller.account, caller.key_id, caller.scopes)
        return session

    def _by_headers(self, socket: WebSocket) -> Caller | None:
        headers = Headers(scope=socket.scope)
        key, signature = key_of(headers), signature_of(headers)
        if key is not None and signature is not None:
            raise problem(HttpReason.INVALID_PARAMETER, "send a key or a signature, not both")
        if key is not None:
            caller = self._access.by_key(key)
        elif signature is not None:
            request = signed_request(socket.scope, signature, b"")
            caller = self._access.by_signature(signature, request)
        else:
            return None
        self._access.rates.count_key(caller.key_id)
        return caller

    def _by_signed_message(self, document: dict[str, Any]) -> Caller:
        key_id, timestamp_ms, signature = (document[name] for name in _SIGNED_MEMBERS)
        if isinstance(timestamp_ms, int) and not isinstance(timestamp_ms, bool):
            timestamp_ms = str(timestamp_ms)
        found: Signature = check_signature(
            key_id, timestamp_ms, signature, ("key_id", "timestamp_ms", "signature")
        )
        request = SignedRequest(found.timestamp_ms, SIGNED_METHOD, "/ws", "", "", b"")
        return self._access.by_signature(found, request)
