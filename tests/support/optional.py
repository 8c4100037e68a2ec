"""Parts a machine may lack: tests that need one are skipped with a reason.

With OUTCRY_REQUIRE_OPTIONAL=1, as continuous integration sets it, a missing part fails
the test instead, so that nothing stays unproven unseen.
"""

import os
import shutil
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
        _missing(f"{name} is not installed; install it to run this test")
    return Path(found)


def require_lobster(name: str) -> Path:
    """Find a LOBSTER sample file by name, or skip the calling test (fail it under the switch).

    The samples are too large and not ours to ship; they lie beside the checkout, or where
    OUTCRY_LOBSTER_DIR says.
    """
    folder = Path(os.environ.get(LOBSTER_SWITCH) or _LOBSTER)
    path = folder / name
    if not path.is_file():
        _missing(
            f"no {name} in {os.environ.get(LOBSTER_SWITCH) or '../shared/data/lobster'}; put"
            f" LOBSTER's sample there, or say with {LOBSTER_SWITCH} where it is"
        )
    return path


def _missing(reason: str) -> NoReturn:
    if os.environ.get(REQUIRE_SWITCH) == "1":
        pytest.fail(f"{reason} ({REQUIRE_SWITCH}=1 makes it required)", pytrace=False)
    pytest.skip(reason)
