"""Where the online store is, as a setting says it."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from services.runtime.errors import ConfigurationError

type OnlineUrl = str
"""`redis://[:password@]host:port[/db]`, or empty for SQLite under the home."""
ONLINE_URL_PATTERN: Final = r"^(|redis://\S+)$"
REDIS_TIMEOUT_S: Final = 5
"""For an answer; a store that is slower is away."""


def redis_connection(online_url: OnlineUrl) -> str:
    """The same as Feast's Redis store takes it.

    Raises:
        ConfigurationError: the URL is none of Redis's.
    """
    parts = urlsplit(online_url)
    database = parts.path.strip("/") or "0"
    if parts.scheme != "redis" or not parts.hostname or not re.fullmatch(r"\d+", database):
        raise ConfigurationError(
            "OUTCRY_ONLINE_URL: use redis://[:password@]host:port[/db], or nothing for SQLite"
        )
    options = [f"{parts.hostname}:{parts.port or 6379}", f"db={database}"]
    # Feast reads each value as JSON. Who asks tries again, and says meanwhile that it is away.
    options += [f"socket_timeout={REDIS_TIMEOUT_S}", "retry=null"]
    if parts.password:
        password = unquote(parts.password)
        if "," in password:
            raise ConfigurationError("OUTCRY_ONLINE_URL: Feast takes no password with a comma")
        options.append(f"password={password}")
    return ",".join(options)
