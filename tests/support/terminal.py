"""Somebody who types what pages print, in a folder of their own beside a stack of their own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.tools.stack.settings import StackSettings
from tests.support.page_examples import ROOT

SHIPPED: Final = int(StackSettings.model_fields["port_base"].default)
_ADDRESS: Final = re.compile(rf"\b(127\.0\.0\.1|localhost):{SHIPPED // 100}(\d\d)\b")
_BIN: Final = Path(sys.executable).parent
# Stops at the first command that fails and names it; an alias is one, as in a terminal.
_OPENING: Final = """set -Eeuo pipefail
shopt -s expand_aliases
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
"""


class Terminal:
    """A checkout's folder, as far as commands see one; what addresses pages print are its own."""

    def __init__(self, folder: Path, port_base: int, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._port_base = port_base
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")
        } | {
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        (folder / ".venv").symlink_to(_BIN.parent)

    def here(self, code: str) -> str:
        """Code of a page with the addresses of this stack in place of those of the default."""
        return _ADDRESS.sub(lambda found: f"{found[1]}:{self._port_base + int(found[2])}", code)

    def sh(self, code: str, *, wait_s: float = 900, **environment: str) -> str:
        """What the commands print; each must succeed."""
        return self._run(["bash", "-c", _OPENING + self.here(code)], wait_s, environment)

    def python(self, code: str, *, wait_s: float = 300) -> str:
        """What the program prints; it must succeed."""
        return self._run([sys.executable, "-c", self.here(code)], wait_s, {})

    def _run(self, command: list[str], wait_s: float, environment: Mapping[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self._environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=wait_s,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, *command: str) -> Iterator["subprocess.Popen[str]"]:
        """A program that ends with the `with`, its output to be read line by line."""
        with subprocess.Popen(
            [self.here(word) for word in command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as program:
            try:
                yield program
            finally:
                program.terminate()
