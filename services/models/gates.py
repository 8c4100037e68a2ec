"""What must hold before a version gets an alias."""

from typing import Final, Literal, NamedTuple

from services.models.artifact import LoadedModel, check_repo
from services.models.errors import ModelRefusedError
from services.models.manifest import ModelManifest
from services.models.rules import Verdict, beats_baselines, beats_champion

type GateName = Literal["golden", "fingerprint", "baseline", "champion"]

FORCIBLE: Final[tuple[GateName, ...]] = ("baseline", "champion")
"""Those that a person may overrule. A model that can't be trusted to be itself never serves."""


class Gate(NamedTuple):
    """One condition, and the figures that open or close it."""

    name: GateName
    is_open: bool
    why: str


def golden_gate(model: LoadedModel | ModelRefusedError) -> Gate:
    """The folder is what was registered, and gives its golden probabilities in this process."""
    if isinstance(model, ModelRefusedError):
        return Gate("golden", is_open=False, why=f"{model.reason}: {model.detail}")
    return Gate("golden", is_open=True, why=f"{len(model.golden.vectors)} vectors, bit for bit")


def fingerprint_gate(manifest: ModelManifest) -> Gate:
    """It was trained on the features that this code makes."""
    try:
        check_repo(manifest)
    except ModelRefusedError as error:
        return Gate("fingerprint", is_open=False, why=f"{error.reason}: {error.detail}")
    return Gate("fingerprint", is_open=True, why=f"{manifest.feature_set} as this code makes it")


def baseline_gate(manifest: ModelManifest) -> Gate:
    """It beats its best baseline, by its figures: what it claims of itself does not count."""
    return _gate("baseline", beats_baselines(manifest.metrics, manifest.baselines))


def champion_gate(
    manifest: ModelManifest, champion: ModelManifest | ModelRefusedError | None
) -> Gate:
    """It beats the model that serves now."""
    if champion is None:
        return Gate("champion", is_open=True, why="there is no champion yet")
    if isinstance(champion, ModelRefusedError):
        return Gate("champion", is_open=False, why=f"the champion can't be read ({champion})")
    if not fingerprint_gate(champion).is_open:
        why = "the champion was trained on features that this code does not make"
        return Gate("champion", is_open=True, why=why)
    return _gate("champion", beats_champion(manifest, champion))


def _gate(name: GateName, verdict: Verdict) -> Gate:
    return Gate(name, verdict.holds, verdict.why)
