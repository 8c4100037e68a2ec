"""The compiled form of the audit, for tests that compare it with the pure one."""

import importlib.util
import os
import shutil
from functools import cache
from pathlib import Path

from services.tools.proof import compiled
from services.tools.proof.compiling import build
from tests.support.optional import missing_part


@cache
def compiled_build() -> Path:
    """The build of the present sources, made once; without a tool for it the test is skipped."""
    made = compiled.BUILDS / compiled.build_name()
    if made.is_dir():
        return made
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        missing_part("no C compiler on PATH; install one to compile the audit")
    if importlib.util.find_spec("mypyc") is None:
        missing_part("no mypyc; install outcry[dev] to compile the audit")
    return build(compiled.BUILDS, compiled.ROOT)


def without_switch() -> dict[str, str]:
    """An environment in which the compiled form may be used."""
    return {name: v for name, v in os.environ.items() if name != compiled.PURE_SWITCH}
