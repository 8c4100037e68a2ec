"""Making the compiled form of the audit: mypyc, then the machine's C compiler."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.tools.proof.compiled import (
    BUILDS,
    MODULES,
    PURE_SWITCH,
    ROOT,
    build_name,
    find_build,
    load,
    source_of,
)

_SUFFIX: Final = sysconfig.get_config_var("EXT_SUFFIX")
WORTH_COMPILING_RECORDS: Final = 1_000_000
"""Compiling takes as long as pure Python takes longer for about so many."""
_KEPT_BUILDS: Final = 3
_TIMEOUT_S: Final = 1_800
"""A machine at its limit; what it takes is a minute of one core."""
_REASON_LENGTH_MAX: Final = 200
_NEEDED: Final = ("mypyc", "setuptools")


class NotCompiledError(Exception):
    """There will be no compiled form; the text says why, in one line."""


def compile_audit(
    say: Callable[[str], None], builds: Path = BUILDS, root: Path = ROOT
) -> Path | None:
    """The build of the present sources, made now if there is none; None: pure Python it is.

    Blocks for up to a minute of processor time. Whatever stands in the way is said in one line.
    """
    if os.environ.get(PURE_SWITCH) == "1":
        return None
    found = find_build(builds, root)
    if found is not None:
        return found
    say("compiling the audit, once for these sources (about a minute)")
    try:
        return build(builds, root)
    except (NotCompiledError, OSError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())[:_REASON_LENGTH_MAX]
        say(f"the audit runs as pure Python, several times slower: {reason}")
        return None


def load_for(records: int, say: Callable[[str], None]) -> None:
    """Let this process run the compiled form if there is one, or if making one is worth it.

    Call it before anything imports the audit.

    Args:
        records: how many are going to be audited.
        say: takes what takes long, and why it is not done.
    """
    worth_it = records >= WORTH_COMPILING_RECORDS
    load(compile_audit(say) if worth_it else find_build())


def build(builds: Path, root: Path) -> Path:
    """Compile the sources under `root` into a folder of their own.

    Raises:
        NotCompiledError: a tool is missing, or does not take these sources.
    """
    _require_tools()
    name = build_name(root)
    builds.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=builds) as folder:
        _run_mypyc(Path(folder), root)
        made = Path(folder) / "build"
        made.mkdir()
        for path in sorted((Path(folder) / "lib").rglob(f"*{_SUFFIX}")):
            place = path.relative_to(Path(folder) / "lib")
            shutil.move(path, made / ".".join(place.parts))
        if build_name(root) != name:
            raise NotCompiledError("its sources changed while they were compiled; try again")
        if not (builds / name).is_dir():
            made.rename(builds / name)
    _forget_old(builds)
    return builds / name


def _require_tools() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise NotCompiledError(f"no {' and no '.join(missing)} here; install outcry[dev]")
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise NotCompiledError(f"no C compiler ({compiler}) on PATH; install one")


def _run_mypyc(folder: Path, root: Path) -> None:
    """In a process of its own: it takes hundreds of MB, and speaks to the terminal."""
    sources = [str(source_of(module, root).relative_to(root)) for module in MODULES]
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(folder), *sources],
        cwd=root, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    if ended.returncode:
        lines = (ended.stdout + ended.stderr).strip().splitlines()
        last = lines[-1] if lines else f"exit code {ended.returncode}"
        raise NotCompiledError(f"mypyc or the C compiler failed: {last}")


_SCRIPT: Final = """
import sys
from setuptools import Distribution
from setuptools.command.build_ext import build_ext
from mypyc.build import mypycify

folder, *sources = sys.argv[1:]
flags = ["--config-file=", "--explicit-package-bases", "--namespace-packages",
         "--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={folder}/cache"]
# Level 2 takes the compiler twice as long, and the audit no less.
modules = mypycify(
    [*flags, *sources], target_dir=f"{folder}/c", opt_level="1", debug_level="0"
)
command = build_ext(Distribution({"name": "audit", "ext_modules": modules}))
command.build_lib, command.build_temp = f"{folder}/lib", f"{folder}/objects"
command.ensure_finalized()
command.run()
"""


def _forget_old(builds: Path) -> None:
    """Keep the newest few: a checkout that goes back and forth need not compile each time."""
    made = [path for path in builds.iterdir() if not path.name.startswith("making-")]
    made.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in made[_KEPT_BUILDS:]:
        shutil.rmtree(path, ignore_errors=True)
