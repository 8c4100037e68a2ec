"""Steps that leave a record each: what they were given, and what came of it.

    <home>/pipeline/<run>/<NN>-<step>.json

A step says beforehand what decides its result: its inputs, made of the order and of what earlier
steps gave. A run that is taken up again keeps every step whose record has the same inputs, and
does the others; since a step's outputs are inputs of later ones, a change anywhere is followed to
the end, and no further than it reaches. A record is written after the step is done, so a step that
was cut short is done again: each must be safe to repeat.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from services.lake.files import put_in_place
from services.runtime.errors import OperatingError
from services.runtime.lock_file import LockHeldError, lock_file
from services.tools.operate.errors import OperateError
from services.tools.pipeline.errors import PipelineError, RunLockedError, StepFailedError

type Values = dict[str, Any]
"""What JSON can hold, by name."""
type Earlier = Mapping[str, Values]
"""What the steps before gave, by the step's name."""
type Say = Callable[[str], None]

RUN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RECORD_BYTES_MAX: Final = 1_000_000


@dataclass(frozen=True)
class Step:
    """One step of a pipeline."""

    name: str
    inputs: Callable[[Earlier], Values]
    """All that decides the result; cheap."""
    act: Callable[[Earlier], Values]
    """Does it; what it gives goes into the record. Safe to repeat."""


class Record(msgspec.Struct, frozen=True):
    """What a step was given and what came of it."""

    step: str
    inputs: Values
    outputs: Values
    began: datetime
    ended: datetime


class Done(msgspec.Struct, frozen=True):
    """A step of a run that came to its end."""

    record: Record
    kept: bool
    """It stood there from an earlier run with the same inputs."""


def run_steps(folder: Path, steps: Sequence[Step], say: Say) -> list[Done]:
    """Take each step that has no record with these inputs yet.

    Raises:
        StepFailedError: a step raised; the message has its name and the cause.
        RunLockedError: another process works on this run.
        PipelineError: the folder can't be written, or a record in it is damaged.
    """
    assert len({step.name for step in steps}) == len(steps), "each step has a name of its own"
    done: list[Done] = []
    with _locked(folder):
        for number, step in enumerate(steps, 1):
            earlier = {item.record.step: item.record.outputs for item in done}
            done.append(_take(folder / f"{number:02}-{step.name}.json", step, earlier, say))
    return done


def read_records(folder: Path) -> list[Record]:
    """The records of a run, in the order of its steps.

    Raises:
        PipelineError: one is damaged.
    """
    found = (_read(path) for path in sorted(folder.glob("[0-9][0-9]-*.json")))
    return [record for record in found if record is not None]


def runs_in(folder: Path) -> list[str]:
    """The names of the runs that have a record, in order."""
    return sorted({path.parent.name for path in folder.glob("*/[0-9][0-9]-*.json")})


def _take(path: Path, step: Step, earlier: Earlier, say: Say) -> Done:
    try:
        inputs = _plain(step.inputs(earlier))
        found = _read(path)
        if found is not None and found.step == step.name and found.inputs == inputs:
            say(f"{step.name}: kept from {found.ended:%Y-%m-%d %H:%M:%S} UTC")
            return Done(found, kept=True)
        say(f"{step.name} ...")
        began = datetime.now(UTC)
        outputs = _plain(step.act(earlier))
    except PipelineError:
        raise
    except (OperatingError, OperateError) as error:
        raise StepFailedError(f"step {step.name}: {error}") from error
    record = Record(step.name, inputs, outputs, began, datetime.now(UTC))
    _write(path, record)
    return Done(record, kept=False)


def _plain(values: Values) -> Values:
    """As a record gives them back, so that what is compared went through the same form."""
    return msgspec.json.decode(msgspec.json.encode(values), type=dict[str, Any])


def _read(path: Path) -> Record | None:
    try:
        if path.stat().st_size > _RECORD_BYTES_MAX:
            raise PipelineError(f"{path} is no record of a step: it is too long; remove it")
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PipelineError(
            f"{path} can't be read ({error.strerror}): give this user the file, or name another run"
            " (--run)"
        ) from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise PipelineError(f"{path} is no record of a step ({error}); remove it") from error


def _write(path: Path, record: Record) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        put_in_place(partial, path)
    except OSError as error:
        raise PipelineError(
            f"{path} can't be written ({error.strerror}): make room or give this user the folder,"
            " and take the run up again (--run); the steps before it are kept"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(folder / ".lock"))
        except LockHeldError as error:
            raise RunLockedError(
                f"another process works on the run {folder.name}; wait until it has ended"
            ) from error
        except OSError as error:
            raise PipelineError(
                f"{folder} can't be made ({error.strerror}); see OUTCRY_HOME"
            ) from error
        yield
