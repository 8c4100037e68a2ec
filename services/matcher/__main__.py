"""The process: `python -m services.matcher`."""

import sys

from services.matcher.service import make_folds
from services.runtime.room import run_room
from services.runtime.snapshots import open_postgres
from services.wire.topics import MATCHING

if __name__ == "__main__":
    sys.exit(run_room("matcher", make_folds, (MATCHING,), open_postgres))
