"""What the jobs of one deployment look at, and which model serves there."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.drift.core.predicted import Predictions
from services.drift.ledger import Ledger
from services.drift.postgres import PostgresLedger
from services.featuresets import SETS, TRADE_SETS
from services.featuresets.fingerprint import fingerprint
from services.lake.places import Lake
from services.models.classes import model_name
from services.models.errors import ModelRefusedError
from services.models.manifest import ModelManifest
from services.models.registry import Registry
from services.models.settings import mlflow_url_of_environment
from services.tools.drift.jobs.told import NoJudgement
from services.tools.features.served_parity import ServedParity, compare_served
from services.tools.operate.connect import (
    load_codec,
    open_log,
    read_deployment,
    require_listening,
)

VERSIONS_MAX: Final = 200
"""Of one name, the newest first: those whose manifests are read."""


@dataclass(frozen=True)
class Place:
    """One deployment. What is a function is asked when a job needs it."""

    home: Path
    lake: Lake
    registry: Registry
    ledger: Ledger
    said: Callable[[int, int], Predictions]
    """What models said of the grid times from the one on and before the other."""
    served: Callable[[], ServedParity]
    """Every vector that was served, against the trades."""


@dataclass(frozen=True)
class Serving:
    """The champion, and every version whose manifest can be read."""

    name: str
    version: int
    manifest: ModelManifest
    manifest_sha256: str
    manifests: Mapping[int, ModelManifest]


@dataclass(frozen=True)
class NothingServes:
    """Why there is no reference at all."""

    outcome: NoJudgement
    detail: str


def serving_of(registry: Registry) -> Serving | NothingServes:
    """Which model serves now.

    Raises:
        RegistryAwayError: the registry does not answer.
    """
    champion = registry.alias()
    if champion is None:
        detail = f"{registry.name} has no champion: `outcry train`, then `outcry models promote`"
        return NothingServes(NoJudgement.NO_MODEL, detail)
    manifests = {}
    for known in registry.versions()[:VERSIONS_MAX]:
        try:
            manifests[known.version] = registry.manifest(known.version)
        except ModelRefusedError as error:
            if known.version == champion:
                return NothingServes(NoJudgement.MODEL_REFUSED, str(error))
    if champion not in manifests:
        manifests[champion] = registry.manifest(champion)
    manifest = manifests[champion]
    feature_set = SETS.get(manifest.feature_set)
    if feature_set is None or fingerprint(feature_set) != manifest.fingerprint:
        return NothingServes(
            NoJudgement.MODEL_REFUSED,
            f"{registry.name} version {champion} is of other definitions of {manifest.feature_set}"
            " than this code's: train it again (`outcry train`)",
        )
    return Serving(
        registry.name,
        champion,
        manifest,
        registry.version(champion).manifest_sha256,
        manifests,
    )


def place_of(home: Path, horizon_s: int) -> Place:
    """The deployment that the environment names. Kafka is asked when a job needs it."""
    deployment = read_deployment()

    def said(begin_us: int, end_us: int) -> Predictions:
        from services.drift.predictions_source import KafkaPredictionRecords, read_predictions
        from services.runtime.kafka import KafkaConnection

        require_listening("Kafka", deployment.bootstrap)
        connection = KafkaConnection(deployment.bootstrap, deployment.prefix)
        records = KafkaPredictionRecords(connection)
        with closing(records):
            return read_predictions(records, load_codec(deployment), begin_us, end_us)

    def served() -> ServedParity:
        with open_log(deployment) as log:
            return compare_served(log, load_codec(deployment), list(TRADE_SETS.values()))

    return Place(
        home,
        Lake(home),
        Registry(home, mlflow_url_of_environment(), model_name(horizon_s)),
        PostgresLedger(deployment.pg_dsn, deployment.name),
        said,
        served,
    )
