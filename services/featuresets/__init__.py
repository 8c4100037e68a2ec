"""featuresets: what each feature is, and the folds that make it; stream and backfill share it."""

from collections.abc import Mapping
from typing import Any, Final

from services.featuresets.bars import Bar
from services.featuresets.daily_v1 import DAILY_V1
from services.featuresets.definitions import FeatureSet
from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.featuresets.microstructure_v2 import MICROSTRUCTURE_V2
from services.featuresets.ticks import Tick

TRADE_SETS: Final[Mapping[str, FeatureSet[Tick]]] = {
    feature_set.name: feature_set for feature_set in (MICROSTRUCTURE_V1, MICROSTRUCTURE_V2)
}
"""Sets made of trades, live and in backfill, by name."""

BAR_SETS: Final[Mapping[str, FeatureSet[Bar]]] = {DAILY_V1.name: DAILY_V1}
"""Sets made of daily bars, in backfill alone, by name."""

SETS: Final[Mapping[str, FeatureSet[Any]]] = {**TRADE_SETS, **BAR_SETS}
"""Every set by name."""
