"""What models ask for by name. Its tag `fingerprint` says which definitions its rows are of."""

import views

from services.featuresets import SETS
from services.online import catalog

microstructure_v1_service = catalog.service(SETS["microstructure_v1"], views.microstructure_v1)
microstructure_v2_service = catalog.service(SETS["microstructure_v2"], views.microstructure_v2)
daily_v1_service = catalog.service(SETS["daily_v1"], views.daily_v1)
