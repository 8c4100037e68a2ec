"""Where history is: each set's folder in the lake of OUTCRY_HOME (by default ../.outcry)."""

import os
from pathlib import Path

from services.featuresets import SETS
from services.lake.places import Lake
from services.online import catalog

LAKE = Lake(Path(os.environ.get("OUTCRY_HOME", Path(__file__).parents[1] / ".outcry")).absolute())

microstructure_v1_lake = catalog.source(SETS["microstructure_v1"], LAKE)
microstructure_v2_lake = catalog.source(SETS["microstructure_v2"], LAKE)
daily_v1_lake = catalog.source(SETS["daily_v1"], LAKE)
