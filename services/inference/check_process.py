"""`python -m services.inference.check_process`: asks the registry, and checks its models.

A process of its own, since both hold the interpreter: decoding a model's file some 100 ms, a
question to MLflow 15 ms, and each millisecond of them would be one that requests wait for. It
steps back behind the process that serves (`NICE`), has a bound of memory, and for each question
one of time. It may die of a forged file: `check_client` says what becomes of that.

Questions and answers are the messages below as JSON, one at a time, over a socket that it is
given. It ends when the other side is closed, however that came.
"""

import os
import resource
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import msgspec

from services.inference.candidates import time_row
from services.models.errors import ModelError, ModelRefusedError, Refusal
from services.models.registry import Registry
from services.runtime.errors import OperatingError

NICE: Final = 10
MEMORY_BYTES_MAX: Final = 2 << 30
"""Of data: its libraries take 0.3 GB, a model of the largest size that is read less than 1 GB."""
MESSAGE_BYTES_MAX: Final = 1 << 20
_DETAIL_LETTERS_MAX: Final = 2_000
_LATER_S: Final = 10.0
"""How long after its limit it ends by itself: whoever asked has killed it then, or is dead."""


class Begin(msgspec.Struct, frozen=True):
    """The first message it is sent."""

    home: str
    mlflow_url: str
    name: str
    """Of the registered model."""
    check_s_max: float
    """Longest that it may take for an answer."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """It has its libraries, which take seconds; the answer to `Begin`."""


class AskAliases(msgspec.Struct, frozen=True, tag="aliases"):
    """Which version has which alias."""


class AskCheck(msgspec.Struct, frozen=True, tag="check"):
    """Whether this version may serve."""

    version: int


class Named(msgspec.Struct, frozen=True, tag="named"):
    """The version of each alias that is set."""

    versions: dict[str, int]


class Passed(msgspec.Struct, frozen=True, tag="passed"):
    """All that can be checked in the version's folder was; it loads and gave its golden vectors."""

    folder: str
    manifest_sha256: str
    """As registered. States the hash of every file, so that none is loaded but what was checked."""
    row_ms: float


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It may not serve."""

    reason: Refusal
    detail: str


class Unregistered(msgspec.Struct, frozen=True, tag="unregistered"):
    """There is no such version, or not its files."""

    detail: str


class Away(msgspec.Struct, frozen=True, tag="away"):
    """The registry does not answer."""

    detail: str


type Asked = AskAliases | AskCheck
type Told = Ready | Named | Passed | Refused | Unregistered | Away


def main(descriptor: int) -> None:
    """Answer until the other side is closed."""
    limit_memory(MEMORY_BYTES_MAX)
    line = Connection(descriptor)
    with suppress(EOFError):
        begin = msgspec.json.decode(line.recv_bytes(MESSAGE_BYTES_MAX), type=Begin)
        registry = Registry(Path(begin.home), begin.mlflow_url, begin.name)
        _import(registry)
        os.nice(NICE)
        _tell(line, Ready())
        while True:
            asked: Asked = msgspec.json.decode(line.recv_bytes(MESSAGE_BYTES_MAX), type=Asked)
            # Not caught: it ends even a library that never comes back, and a process left alone.
            signal.setitimer(signal.ITIMER_REAL, begin.check_s_max + _LATER_S)
            _tell(line, answer(registry, asked))
            signal.setitimer(signal.ITIMER_REAL, 0)


def limit_memory(bytes_max: int) -> None:
    """What it takes beyond this is a MemoryError, and the end of the process."""
    resource.setrlimit(resource.RLIMIT_DATA, (bytes_max, bytes_max))


def _import(registry: Registry) -> None:
    """Before it steps back: seconds of work, for which the first model would wait much longer."""
    import xgboost  # noqa: F401, PLC0415 - it takes seconds

    with suppress(OperatingError):
        registry.aliases()  # with MLflow


def answer(registry: Registry, asked: Asked) -> Told:
    """What it comes to; anything but an operating error ends the process."""
    try:
        match asked:
            case AskAliases():
                return Named(registry.aliases())
            case AskCheck(version):
                loaded = registry.load(version)
                return Passed(str(loaded.folder), loaded.manifest_sha256, time_row(loaded))
    except ModelRefusedError as error:
        return Refused(error.reason, error.detail[:_DETAIL_LETTERS_MAX])
    except ModelError as error:
        return Unregistered(str(error)[:_DETAIL_LETTERS_MAX])
    except OperatingError as error:
        return Away(str(error)[:_DETAIL_LETTERS_MAX])


def _tell(line: Connection, told: Told) -> None:
    line.send_bytes(msgspec.json.encode(told))


if __name__ == "__main__":
    main(int(sys.argv[1]))
