"""`python -m services.tools.observe.tied PARENT PROGRAM ARGUMENTS`: never without PARENT."""

import os
import signal
import sys

from services.runtime.parent import die_with_parent

if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), signal.SIGKILL)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - becomes the program: its signals, its end
