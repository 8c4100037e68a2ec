"""The deployment's secret that keys are hashed with: a file, outside the database.

Whoever reads the database without it can check no guess and sign nothing. Lost, every key is lost
with it, and new ones have to be made.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.gateway.core.keys import SERVER_SECRET_BYTES
from services.runtime.errors import ConfigurationError

_HEX_LENGTH: Final = 2 * SERVER_SECRET_BYTES
_OWNER_ONLY: Final = 0o600


def ensure_server_secret(path: Path) -> bytes:
    """The secret in this file, made now if there is no file. Safe from several processes at once.

    Raises:
        ConfigurationError: the file can't be made or read, or holds no such secret.
    """
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
        except OSError as error:
            msg = f"the secret of the keys can't be made at {path} ({error.strerror})"
            raise ConfigurationError(msg) from error
    return read_server_secret(path)


def _make(path: Path) -> None:
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(SERVER_SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(descriptor)
        # Whoever links first has made it; a file that is there is never replaced.
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()


def read_server_secret(path: Path) -> bytes:
    """The secret in this file.

    Raises:
        ConfigurationError: there is none; the message does not say what else is there.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            text = file.read(_HEX_LENGTH + 2).strip()
    except OSError as error:
        msg = (
            f"the secret of the keys can't be read from {path} ({error.strerror}); `outcry up`"
            " makes one, or copy that of the deployment's other gateways"
        )
        raise ConfigurationError(msg) from error
    if len(text) != _HEX_LENGTH or any(letter not in "0123456789abcdef" for letter in text):
        msg = f"{path} holds no secret of keys: {_HEX_LENGTH} hexadecimal digits are wanted"
        raise ConfigurationError(msg)
    return bytes.fromhex(text)
