"""featuresets: what each feature is, and the folds that make it; stream and backfill share it."""

from collections.abc import Mapping
from typing import Any, Final

from services.featuresets.definitions import FeatureSet
from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.featuresets.microstructure_v2 import MICROSTRUCTURE_V2
from services.featuresets.ticks import Tick

TRADE_SETS: Final[Mapping[str, FeatureSet[Tick]]] = {
    feature_set.name: feature_set for feature_set in (MICROSTRUCTURE_V1, MICROSTRUCTURE_V2)
}
"""Sets made of trades, live and in backfill, by name."""

SETS: Final[Mapping[str, FeatureSet[Any]]] = {**TRADE_SETS}
"""Every set by name."""
