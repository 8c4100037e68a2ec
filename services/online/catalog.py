"""What Feast is told of Outcry's features: made from the sets' definitions, one view a set."""

from datetime import timedelta
from typing import Any, Final

import services.online.unchecked_feast  # noqa: F401 - before Feast

# isort: split
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Float64, String

from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.places import Lake

PROJECT: Final = "outcry"
FINGERPRINT: Final = "fingerprint"
"""The tag that carries it, and the column of a row that does."""

TICKER: Final = Entity(
    name="ticker",
    join_keys=["ticker"],
    value_type=ValueType.STRING,
    description="Ticker symbol, for example AAPL",
)


def tags_of(feature_set: FeatureSet[Any]) -> dict[str, str]:
    """What identifies the set's definitions; a model is held against it."""
    return {FINGERPRINT: fingerprint(feature_set), "made_from": feature_set.source}


def source(feature_set: FeatureSet[Any], lake: Lake) -> FileSource:
    """The set's folder in the lake."""
    return FileSource(
        name=f"{feature_set.name}_lake",
        path=str(lake.feature_set(feature_set.name).absolute()),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        description=f"Rows of {feature_set.name} in the lake, by grid time",
    )


def view(feature_set: FeatureSet[Any], lake_source: FileSource) -> FeatureView:
    """Every feature as a float in its stated unit, and the fingerprint of what made the row.

    No time to live: the age of a row is judged by who reads it, since the online store would not.
    """
    described = [
        Field(name=f.name, dtype=Float64, description=f.doc, tags={"unit": f.unit})
        for f in feature_set.features
    ]
    return FeatureView(
        name=feature_set.name,
        entities=[TICKER],
        ttl=timedelta(0),
        schema=[
            *described,
            Field(name=FINGERPRINT, dtype=String, description="Of the definitions of the row"),
        ],
        source=lake_source,
        online=True,
        tags=tags_of(feature_set),
        description=f"{feature_set.name}, made from {feature_set.source}",
    )


def service(feature_set: FeatureSet[Any], its_view: FeatureView) -> FeatureService:
    """What a model asks for by name: a set and version, for ever the same."""
    return FeatureService(
        name=feature_set.name,
        features=[its_view],
        tags=tags_of(feature_set),
        description=f"All features of {feature_set.name}",
    )


def catalog(lake: Lake) -> list[Entity | FileSource | FeatureView | FeatureService]:
    """Everything at once, as `feature_repo/` declares it file by file."""
    objects: list[Entity | FileSource | FeatureView | FeatureService] = [TICKER]
    for feature_set in SETS.values():
        its_source = source(feature_set, lake)
        its_view = view(feature_set, its_source)
        objects += [its_source, its_view, service(feature_set, its_view)]
    return objects
