"""Parts a machine may lack: tests that need one are skipped with a reason.

With OUTCRY_REQUIRE_OPTIONAL=1, as continuous integration sets it, a missing part fails
the test instead, so that nothing stays unproven unseen.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import pytest

REQUIRE_SWITCH: Final = "OUTCRY_REQUIRE_OPTIONAL"
LOBSTER_SWITCH: Final = "OUTCRY_LOBSTER_DIR"
_LOBSTER: Final = Path(__file__).parents[3] / "shared" / "data" / "lobster"


def require_program(name: str) -> Path:
    """Find a program on PATH, or skip the calling test (fail it under the switch)."""
    found = shutil.which(name)
    if found is None:
        missing_part(f"{name} is not installed; install it to run this test")
    return Path(found)


def require_lobster(name: str) -> Path:
    """Find a LOBSTER sample file by name, or skip the calling test (fail it under the switch).

    The samples are too large and not ours to ship; they lie beside the checkout, or where
    OUTCRY_LOBSTER_DIR says.
    """
    folder = Path(os.environ.get(LOBSTER_SWITCH) or _LOBSTER)
    path = folder / name
    if not path.is_file():
        missing_part(
            f"no {name} in {os.environ.get(LOBSTER_SWITCH) or '../shared/data/lobster'}; put"
            f" LOBSTER's sample there, or say with {LOBSTER_SWITCH} where it is"
        )
    return path


def make_locale(name: str, folder: Path) -> str:
    """Compile a UTF-8 locale into `folder`, to be given as LOCPATH; returns its full name.

    Few machines have other locales than C ready, and a name that is not there means C.
    """
    full = f"{name}.UTF-8"
    program = require_program("localedef")
    ended = subprocess.run(
        [program, "-i", name, "-f", "UTF-8", folder / full],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    if ended.returncode:
        missing_part(f"no sources of the locale {full} (package locales): {ended.stderr.strip()}")
    return full


def python_with_packages(version: str, packages: Sequence[str], folder: Path) -> Path:
    """Another Python with some of the locked packages, in a new environment under `folder`.

    Skips where no such Python is: no machine needs it. Where one is, packages that can't be had
    are a missing part.
    """
    found = _find_python(version)
    if found is None:
        pytest.skip(f"no Python {version} on PATH or under ~/.pyenv/versions")
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8")
    pinned = [line.split()[0] for line in lock.splitlines() if line.split("==")[0] in packages]
    assert len(pinned) == len(packages), f"{packages} are not all locked"
    home = folder / f"python{version}"
    python = home / "bin" / "python"
    uv = (sys.executable, "-m", "uv", "--quiet")
    for command in (
        (*uv, "venv", "--python", str(found), str(home)),
        (*uv, "pip", "install", "--system-certs", "--python", str(python), *pinned),
    ):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        if ended.returncode:
            missing_part(f"no packages for Python {version}: {ended.stderr.strip()[-300:]}")
    return python


def _find_python(version: str) -> Path | None:
    """One that starts: a version manager's stand-in may have nothing behind it."""
    on_path = shutil.which(f"python{version}")
    managed = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
    for candidate in (*managed, *([Path(on_path)] if on_path else [])):
        asked = subprocess.run(
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        if asked.stdout.strip() == version:
            return candidate
    return None


def require_engine() -> None:
    """Skip where no container engine answers: no machine needs one, nor continuous integration."""
    program = shutil.which("docker")
    if program is None:
        pytest.skip("no docker on PATH; what needs an engine is not run")
    asked = subprocess.run(
        [program, "compose", "version"], capture_output=True, text=True, timeout=30, check=False
    )
    answered = subprocess.run([program, "info"], capture_output=True, timeout=30, check=False)
    if asked.returncode or answered.returncode:
        pytest.skip("no container engine with compose answers; what needs one is not run")


def missing_part(reason: str) -> NoReturn:
    """Skip the calling test (fail it under the switch)."""
    if os.environ.get(REQUIRE_SWITCH) == "1":
        pytest.fail(f"{reason} ({REQUIRE_SWITCH}=1 makes it required)", pytrace=False)
    pytest.skip(reason)
