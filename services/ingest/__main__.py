"""The process: `python -m services.ingest`."""

import sys

from services.ingest.service import make_folds
from services.runtime.room import run_room
from services.runtime.snapshots import open_postgres
from services.wire.topics import CONTROLS, ORDERS

if __name__ == "__main__":
    sys.exit(run_room("ingest", make_folds, (ORDERS, CONTROLS), open_postgres))
