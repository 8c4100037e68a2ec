"""Secrets taken out of log lines, whoever put them in: settings, addresses, errors of libraries."""

import re
from collections.abc import Mapping
from typing import Final

from structlog.typing import EventDict, WrappedLogger

REDACTED: Final = "[redacted]"
DEPTH_MAX: Final = 6
"""What is nested deeper is not said at all."""

_SECRET_NAMES: Final = re.compile(
    r"pass(word|wd|phrase)|secret|token|authorization|credential|cookie|signature|api[_-]?key"
    r"|private[_-]?key",
    re.IGNORECASE,
)
_TEXTS: Final = (
    # An API key of the gateway, as services/gateway/key_secret.py makes them.
    (re.compile(r"\boutcry_([0-9a-f]{16})_[A-Za-z0-9_-]+"), rf"outcry_\1_{REDACTED}"),
    # The password of an address: postgresql://user:password@host.
    (re.compile(r"(\w+://[^\s/:@]*):[^\s/]*@"), rf"\1:{REDACTED}@"),
    # libpq's other form, and headers that were printed.
    (re.compile(r"\b(password|passwd|sslpassword)(\s*[=:]\s*)[^\s,;)]+", re.IGNORECASE),
     rf"\1\2{REDACTED}"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
)  # fmt: skip


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor of structlog; stands last before the renderer, after tracebacks are text."""
    return {name: _cleaned(name, value, 0) for name, value in event.items()}


def _cleaned(name: str, value: object, depth: int) -> object:
    if value is not None and not isinstance(value, bool) and _SECRET_NAMES.search(name):
        return REDACTED
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    if depth == DEPTH_MAX:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(key): _cleaned(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned("", inner, depth + 1) for inner in value]
    return clean_text(str(value))


def clean_text(text: str) -> str:
    """A text without the secrets that can be told by their form."""
    for form, instead in _TEXTS:
        text = form.sub(instead, text)
    return text
