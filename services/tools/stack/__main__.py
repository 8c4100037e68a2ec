"""The supervisor's process: `python -m services.tools.stack HOME [--with-parent PID]`.

Started by `Stack.start`, which holds the lock on the home and passes it on with the plan; the lock
goes when this process ends, however it ends.
"""

import signal
import sys
from pathlib import Path

import msgspec

from services.runtime.log_lines import configure_logging
from services.runtime.parent import die_with_parent
from services.tools.stack.assembly import components_of
from services.tools.stack.plan import Plan
from services.tools.stack.status import run_directory
from services.tools.stack.supervisor import Supervisor


def main(arguments: list[str]) -> int:
    """Run the plan found in the home; see `Supervisor.run` for the exit code."""
    home = Path(arguments[0])
    if arguments[1:2] == ["--with-parent"]:
        die_with_parent(int(arguments[2]), signal.SIGTERM)
    configure_logging("INFO")
    content = (run_directory(home) / "plan.json").read_bytes()
    plan = msgspec.json.decode(content, type=Plan)
    return Supervisor(home, components_of(plan), plan.frozen_timeout_s).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
