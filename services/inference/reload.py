"""From the registry's aliases to models in service, while requests go on.

1. Ask which version has the alias; the same as before: nothing to do.
2. Have its folder checked: plain files of native formats, hashes, golden vectors
   (`models.artifact`), and the time that a row takes. In a process of its own (`check_client`).
3. Load what was checked.
4. Hold its feature set's fingerprint against this code's and against Feast's FeatureService, and
   the time of a row against the limit.
5. Warm it with golden vectors.
6. Exchange. What is under way finishes on the old one.

Whatever fails before the last step leaves the old model in service, is counted and is logged. A
refused version is not tried again until another has the alias or somebody asks for a reload,
unless what was in its way may pass by itself.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from threading import Event, Lock, Thread
from typing import Final, Protocol

import msgspec

from services.inference import metrics
from services.inference.candidates import Candidate, warm
from services.inference.core import Alias
from services.inference.slots import Features, RefusalNote, ServedModel, Slots
from services.models.artifact import check_repo
from services.models.errors import ModelError, ModelRefusedError, Refusal
from services.online.errors import OnlineStoreAwayError, OnlineStoreError
from services.runtime.errors import OperatingError
from services.runtime.telemetry import Telemetry

_NS_PER_US: Final = 1_000


class LoadRefusal(StrEnum):
    """Why a model is not taken into service, beside the reasons of `models.errors.Refusal`."""

    NOT_REGISTERED = "not_registered"
    """The registry has no such version, or not its files."""
    WRONG_NAME = "wrong_name"
    """It was trained for another name, and so for another horizon, than is served here."""
    NO_FEATURE_SERVICE = "no_feature_service"
    """Feast knows no FeatureService of its feature set; the materializer declares them."""
    FOREIGN_FEATURES = "foreign_features"
    """The FeatureService states another fingerprint than the model."""
    TOO_SLOW = "too_slow"
    CHECK_DIED = "check_died"
    """The process that checked it died of it, or was killed."""
    CHECK_TIMED_OUT = "check_timed_out"
    """The process that checked it took too long; perhaps the machine is busy."""


PASSING: Final = frozenset(
    {
        LoadRefusal.NO_FEATURE_SERVICE,
        LoadRefusal.FOREIGN_FEATURES,
        LoadRefusal.CHECK_TIMED_OUT,
    }
)
"""What was wrong is not the model's fault and may pass: tried again at each poll."""


class ModelSource(Protocol):
    """The model registry, as far as serving needs it. May block; `check_client` is one."""

    def aliases(self) -> Mapping[str, int]:
        """The version of each alias that is set.

        Raises:
            OperatingError: the registry does not answer.
        """
        ...

    def load(self, version: int) -> Candidate:
        """Have all checked that can be checked in the version's folder, and load it.

        Raises:
            RetriableError: the registry does not answer.
            ModelError: there is no such version, or it may not serve.
            NotServableError: it could not be checked.
        """
        ...


class StatedFeatures(Features, Protocol):
    """Features, and which fingerprint Feast states for them."""

    @property
    def fingerprint(self) -> str | None: ...


class Outcome(msgspec.Struct, frozen=True):
    """What one look at an alias came to."""

    alias: str
    outcome: str
    """unchanged, loaded, emptied, kept, refused or registry_away."""
    version: int | None = None
    """That is in service now."""
    reason: str | None = None
    detail: str | None = None


class NotServableError(Exception):
    """A model that could not be checked, or passes the checks of its folder and may not serve."""

    def __init__(self, reason: LoadRefusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Reloader:
    """Keeps the slots as the registry says. `check` may be called from any thread.

    Args:
        name: of the registered model.
        open_features: finds the FeatureService of a feature set.
        aliases: which of them to serve; the champion comes first.
        row_ms_max: a model that takes longer for a row is refused.
    """

    def __init__(
        self,
        name: str,
        source: ModelSource,
        open_features: Callable[[str], StatedFeatures],
        slots: Slots,
        telemetry: Telemetry,
        *,
        aliases: Sequence[Alias],
        row_ms_max: float,
    ) -> None:
        self._name = name
        self._source = source
        self._open_features = open_features
        self._slots = slots
        self._telemetry = telemetry
        self._aliases = tuple(aliases)
        self._row_ms_max = row_ms_max
        self._one_at_a_time = Lock()
        self._refused: dict[Alias, int] = {}
        """Versions that are not worth another try by themselves."""
        self.is_registry_away = False
        self._declare()

    def _declare(self) -> None:
        """Show all that is alerted on from the start: no rise is seen of what appears with it."""
        for alias in self._aliases:
            self._telemetry.set(metrics.MODEL_VERSION, 0, alias=alias)
            self._telemetry.set(metrics.MODEL_REFUSED, 0, alias=alias)
            for reason in (*Refusal, *LoadRefusal):
                self._telemetry.count(metrics.MODELS_REFUSED, 0, alias=alias, reason=reason)

    def check(self, *, again: bool = False) -> list[Outcome]:
        """Look at each alias once.

        Args:
            again: try what was refused before too.
        """
        with self._one_at_a_time:
            if again:
                self._refused.clear()
            try:
                versions = self._source.aliases()
            except OperatingError as error:
                return [self._away(alias, self._slots.get(alias), error) for alias in self._aliases]
            self.is_registry_away = False
            first, *others = self._aliases
            champion = self._look(first, versions.get(first))
            try:
                return [champion, *(self._look(alias, versions.get(alias)) for alias in others)]
            finally:  # A shadow that fails in a way nobody knew keeps no champion from its work.
                if champion.outcome != "registry_away":
                    self._slots.decided.set()

    def _look(self, alias: Alias, version: int | None) -> Outcome:
        current = self._slots.get(alias)
        if version is None:
            return self._empty(alias, current)
        try:
            if current is not None and current.version == version:
                # Perhaps another version was refused meanwhile, and the alias put back.
                self._forget_refusal(alias)
                return Outcome(alias, "unchanged", version)
            if self._refused.get(alias) == version:
                return self._refuse_again(alias, current)
            model = self._prepare(alias, version)
        except ModelRefusedError as error:
            return self._refuse(alias, current, version, error.reason, error.detail)
        except ModelError as error:
            return self._refuse(alias, current, version, LoadRefusal.NOT_REGISTERED, str(error))
        except NotServableError as error:
            return self._refuse(alias, current, version, error.reason, error.detail)
        except OperatingError as error:
            return self._away(alias, current, error)
        return self._exchange(alias, current, model)

    def _prepare(self, alias: Alias, version: int) -> ServedModel:
        candidate = self._source.load(version)
        manifest = candidate.loaded.manifest
        check_repo(manifest)
        if manifest.name != self._name:
            raise NotServableError(
                LoadRefusal.WRONG_NAME, f"it is a {manifest.name}, and {self._name} is served here"
            )
        try:
            features = self._open_features(manifest.feature_set)
        except (OnlineStoreError, OnlineStoreAwayError) as error:
            raise NotServableError(LoadRefusal.NO_FEATURE_SERVICE, str(error)) from error
        if features.fingerprint != manifest.fingerprint:
            raise NotServableError(
                LoadRefusal.FOREIGN_FEATURES,
                f"Feast's {manifest.feature_set} is of {str(features.fingerprint)[:12]} and the"
                f" model of {manifest.fingerprint[:12]}; restart the materializer of this code",
            )
        if candidate.row_ms > self._row_ms_max:
            raise NotServableError(
                LoadRefusal.TOO_SLOW,
                f"a row takes {candidate.row_ms:.2f} ms, {self._row_ms_max:g} are allowed"
                " (OUTCRY_INFERENCE_MODEL_MS_MAX)",
            )
        warm(candidate.loaded)
        return ServedModel(alias, version, candidate.loaded, features, _now_us(), candidate.row_ms)

    # --- what came of it

    def _exchange(self, alias: Alias, current: ServedModel | None, model: ServedModel) -> Outcome:
        self._slots.put(alias, model)
        self._forget_refusal(alias)
        self._telemetry.count(metrics.MODELS_LOADED, alias=alias)
        self._telemetry.set(metrics.MODEL_VERSION, model.version, alias=alias)
        self._telemetry.log.info(
            "model_in_service",
            alias=alias,
            version=model.version,
            before=None if current is None else current.version,
            sha256=model.sha256[:12],
            row_ms=round(model.row_ms, 3),
        )
        return Outcome(alias, "loaded", model.version)

    def _empty(self, alias: Alias, current: ServedModel | None) -> Outcome:
        """Nothing has the alias: a champion serves on, the others go."""
        self._forget_refusal(alias)
        if current is None:
            return Outcome(alias, "unchanged")
        if alias is Alias.CHAMPION:
            detail = (
                f"nothing is champion of {self._name} any more; version {current.version} stays"
            )
            return Outcome(alias, "kept", current.version, detail=detail)
        self._slots.put(alias, None)
        self._telemetry.set(metrics.MODEL_VERSION, 0, alias=alias)
        self._telemetry.log.info("model_out_of_service", alias=alias, version=current.version)
        return Outcome(alias, "emptied")

    def _refuse(
        self,
        alias: Alias,
        current: ServedModel | None,
        version: int,
        reason: str,
        detail: str,
    ) -> Outcome:
        serving = None if current is None else current.version
        noted = self._slots.refusals.get(alias)
        note = RefusalNote(version, str(reason), detail, _now_us())
        self._slots.refusals[alias] = note
        self._telemetry.set(metrics.MODEL_REFUSED, 1, alias=alias)
        self._telemetry.count(metrics.MODELS_REFUSED, alias=alias, reason=str(reason))
        if noted is None or (noted.version, noted.reason) != (note.version, note.reason):
            self._telemetry.log.error(
                "model_refused", alias=alias, version=version, reason=str(reason), detail=detail,
                serving=serving,
            )  # fmt: skip
        if reason not in PASSING:
            self._refused[alias] = version
        return Outcome(alias, "refused", serving, str(reason), detail)

    def _forget_refusal(self, alias: Alias) -> None:
        """What has the alias now is served, or nothing has it."""
        self._refused.pop(alias, None)
        self._slots.refusals.pop(alias, None)
        self._telemetry.set(metrics.MODEL_REFUSED, 0, alias=alias)

    def _refuse_again(self, alias: Alias, current: ServedModel | None) -> Outcome:
        note = self._slots.refusals[alias]
        serving = None if current is None else current.version
        return Outcome(alias, "refused", serving, note.reason, note.detail)

    def _away(self, alias: Alias, current: ServedModel | None, error: Exception) -> Outcome:
        serving = None if current is None else current.version
        if not self.is_registry_away:
            self._telemetry.log.warning("registry_away", error=str(error), serving=serving)
        self.is_registry_away = True
        self._telemetry.count(metrics.REGISTRY_FAILURES)
        return Outcome(alias, "registry_away", serving, detail=str(error))


class Poller:
    """Calls the reloader again and again, on a thread of its own."""

    def __init__(self, reloader: Reloader, interval_s: float, telemetry: Telemetry) -> None:
        self._reloader = reloader
        self._interval_s = interval_s
        self._telemetry = telemetry
        self._stopping = Event()
        self.looked = Event()
        """Set once the registry was asked for the first time, whatever it said."""
        self._thread = Thread(target=self._run, name="model-poll", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Let it end; returns when it has, within the time that a look takes."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._reloader.check()
            except Exception:
                # A library that fails in a way nobody knew must not end the serving of models.
                self._telemetry.log.exception("reload_failed")
                self._telemetry.count(metrics.REGISTRY_FAILURES)
            self.looked.set()
            self._stopping.wait(self._interval_s)


def _now_us() -> int:
    return time.time_ns() // _NS_PER_US
