"""One view a feature set and version. Names, units and meanings come from services/featuresets."""

from sources import daily_v1_lake, microstructure_v1_lake, microstructure_v2_lake

from services.featuresets import SETS
from services.online import catalog

microstructure_v1 = catalog.view(SETS["microstructure_v1"], microstructure_v1_lake)
microstructure_v2 = catalog.view(SETS["microstructure_v2"], microstructure_v2_lake)
daily_v1 = catalog.view(SETS["daily_v1"], daily_v1_lake)
