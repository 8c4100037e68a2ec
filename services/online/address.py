"""Where the online store is, as a setting says it."""

import math
import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from services.runtime.errors import ConfigurationError

type OnlineUrl = str
"""`redis://[:password@]host:port[/db][?socket_timeout=SECONDS]`, or empty: SQLite in the home."""
ONLINE_URL_PATTERN: Final = r"^(|redis://\S+)$"
REDIS_TIMEOUT_S: Final = 5
"""For an answer, unless the URL says another one; a store that is slower is away."""


def redis_connection(online_url: OnlineUrl) -> str:
    """The same as Feast's Redis store takes it.

    Raises:
        ConfigurationError: the URL is none of Redis's.
    """
    parts = urlsplit(online_url)
    database = parts.path.strip("/") or "0"
    timeout_s = _timeout_s(parts.query)
    is_redis = parts.scheme == "redis" and parts.hostname and re.fullmatch(r"\d+", database)
    if not is_redis or timeout_s is None:
        raise ConfigurationError(
            "OUTCRY_ONLINE_URL: use redis://[:password@]host:port[/db][?socket_timeout=SECONDS],"
            " or nothing for SQLite"
        )
    options = [f"{parts.hostname}:{parts.port or 6379}", f"db={database}"]
    # Feast reads each value as JSON. Who asks tries again, and says meanwhile that it is away.
    options += [f"socket_timeout={timeout_s}", "retry=null"]
    if parts.password:
        password = unquote(parts.password)
        if "," in password:
            raise ConfigurationError("OUTCRY_ONLINE_URL: Feast takes no password with a comma")
        options.append(f"password={password}")
    return ",".join(options)


def _timeout_s(query: str) -> float | None:
    """What a URL's query says; None: it is none that is known here."""
    if not query:
        return REDIS_TIMEOUT_S
    try:
        ((name, value),) = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        seconds = float(value)
    except ValueError:
        return None
    return seconds if name == "socket_timeout" and 0 < seconds < math.inf else None
