"""`python -m services.risk`: wiring alone."""

import sys

from services.risk.service import make_folds
from services.runtime.room import run_room
from services.runtime.snapshots import open_postgres
from services.wire.topics import ACCOUNTS

if __name__ == "__main__":
    sys.exit(run_room("risk", make_folds, (ACCOUNTS,), open_postgres))
