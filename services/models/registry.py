"""The registry: which models there are, which one serves, and how it came to that.

It is MLflow's, in SQLite under the home unless a URL says otherwise. The folders of models lie at
`<home>/models/artifacts/<run>/artifacts`, where MLflow looks for a run's files too. Versions of one
registered name compete; an alias (champion, challenger, shadow) names one of them.

Changes go one after the other (a locked file). Each is recorded first, then the alias moves, in
one statement of the database, then the record is marked done: so a reader sees the alias before or
after, and a change whose process died is finished by the next one.
"""

import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.models.artifact import LoadedModel, copy_model, read_manifest_of, read_model
from services.models.changes import (
    ALIASES,
    CHAMPION,
    WHY_LETTERS_MAX,
    Change,
    champion_before,
    read_changes,
)
from services.models.classes import HORIZON_S, model_name
from services.models.errors import (
    ModelRefusedError,
    NothingBeforeError,
    PromotionRefusedError,
    RegistryAwayError,
    RegistryError,
    UnknownVersionError,
)
from services.models.gates import (
    FORCIBLE,
    Gate,
    baseline_gate,
    champion_gate,
    fingerprint_gate,
    golden_gate,
)
from services.models.lock import WAIT_S, locked
from services.models.manifest import ModelManifest
from services.models.settings import MlflowUrl
from services.models.tracking import database_of, open_client, start_run, told

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_RUN: Final = re.compile(r"[0-9a-f]{32}")
_VERSIONS_MAX: Final = 10_000


class Version(msgspec.Struct, frozen=True):
    """A registered model, as the registry's database tells it."""

    name: str
    version: int
    run_id: str
    registered_us: int
    manifest_sha256: str
    model_sha256: str
    kind: str
    feature_set: str
    fingerprint: str
    dataset_sha256: str
    beats_baseline: bool
    aliases: tuple[str, ...]


class Registry:
    """The versions of one name. Any number of threads may ask.

    Every method may raise RegistryAwayError; those that change something RegistryLockedError.
    """

    def __init__(
        self,
        home: Path,
        url: MlflowUrl = "",
        name: str = model_name(HORIZON_S),
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
        wait_s: float = WAIT_S,
    ) -> None:
        """Nothing is asked or imported yet."""
        self.name: Final = name
        self._root: Final = home.absolute() / "models"
        self._database: Final = None if url else database_of(home.absolute())
        self._url: Final = url or f"sqlite:///{self._database}"
        self._now_us: Final = now_us
        self._wait_s: Final = wait_s
        self._opening: Final = threading.Lock()
        self._client: MlflowClient | None = None

    # --- asking

    def versions(self) -> list[Version]:
        """All of them, the newest first."""
        model = self._model()
        if model is None:
            return []
        with told():
            found = self._open().search_model_versions(
                f"name='{self.name}'", max_results=_VERSIONS_MAX
            )
        aliases = _by_version(model)
        versions = [self._version(each, aliases) for each in found]
        return sorted(versions, key=lambda version: -version.version)

    def version(self, number: int) -> Version:
        """One of them.

        Raises:
            UnknownVersionError: there is none of this number.
        """
        model = self._model()
        if model is None:
            raise UnknownVersionError(
                f"nothing is registered as {self.name}: train a model first (`outcry train`)"
            )
        try:
            with told():
                found = self._open().get_model_version(self.name, str(number))
        except UnknownVersionError as error:
            raise UnknownVersionError(
                f"{self.name} has no version {number}; `outcry models list` shows what there is"
            ) from error
        return self._version(found, _by_version(model))

    def aliases(self) -> dict[str, int]:
        """The version of each alias that is set."""
        model = self._model()
        return {} if model is None else {name: int(v) for name, v in model.aliases.items()}

    def alias(self, name: str = CHAMPION) -> int | None:
        """The version that has it; None: nobody."""
        return self.aliases().get(name)

    def history(self) -> list[Change]:
        """Every change of an alias, the oldest first."""
        model = self._model()
        return [] if model is None else read_changes(model.tags.items())

    def folder_of(self, version: int) -> Path:
        """Where its files lie. Follows from the run, never from a path in the database.

        Raises:
            UnknownVersionError: there is none of this number.
        """
        return self._folder(self.version(version).run_id)

    def load(self, version: int) -> LoadedModel:
        """Read it, checked, and as it was registered.

        Raises:
            UnknownVersionError: there is none of this number.
            ModelRefusedError: its folder is no model that may serve.
        """
        found = self.version(version)
        return read_model(
            self._folder(found.run_id), manifest_sha256=found.manifest_sha256 or "unknown"
        )

    def manifest(self, version: int) -> ModelManifest:
        """What is told of it, without loading it.

        Raises:
            UnknownVersionError: there is none of this number.
            ModelRefusedError: it can't be read, or is not the one that was registered.
        """
        found = self.version(version)
        return read_manifest_of(
            self._folder(found.run_id), manifest_sha256=found.manifest_sha256 or "unknown"
        )

    def gates(self, version: int, alias: str = CHAMPION) -> tuple[Gate, ...]:
        """What `promote` would hold it against.

        Raises:
            UnknownVersionError: there is none of this number.
        """
        try:
            model = self.load(version)
        except ModelRefusedError as error:
            return (golden_gate(error),)
        gates = (golden_gate(model), fingerprint_gate(model.manifest))
        if alias != CHAMPION:
            return gates
        champion = self.alias()
        against = (
            Gate("champion", is_open=True, why="it is the champion")
            if champion == version
            else champion_gate(model.manifest, self._manifest_if_any(champion))
        )
        return (*gates, baseline_gate(model.manifest), against)

    # --- changing

    def register(self, folder: Path) -> int:
        """Copy a model into the registry; its version. The same model twice is one version.

        Raises:
            ModelRefusedError: nobody could load it.
            ModelNotWrittenError: the disk does not take it.
            RegistryError: it is of another horizon.
        """
        given = read_model(folder)
        if given.manifest.name != self.name:
            raise RegistryError(f"it is a model of {given.manifest.name!r:.80}, not of {self.name}")
        with locked(self._root / "registry.lock", self._wait_s):
            for known in self.versions():
                if known.manifest_sha256 == given.manifest_sha256:
                    return known.version
            return self._add(folder, given)

    def promote(
        self, version: int, alias: str = CHAMPION, *, force: bool = False, why: str = ""
    ) -> Change | None:
        """Give an alias to a version; None: it has it already.

        Args:
            version: a registered one.
            alias: a champion must pass all gates, another alias those of a model that may serve.
            force: pass the gates `FORCIBLE` though they are closed; needs a reason.
            why: recorded.

        Raises:
            UnknownVersionError: there is no such version.
            PromotionRefusedError: a gate is closed.
            RegistryError: no such alias, or no reason.
        """
        if alias not in ALIASES:
            raise RegistryError(f"{alias!r:.40} is no alias: use {', '.join(ALIASES)}")
        if force and not why.strip():
            raise RegistryError("force is recorded with its reason: say it (--why TEXT)")
        if len(why) > WHY_LETTERS_MAX:
            raise RegistryError(f"the reason is longer than {WHY_LETTERS_MAX} letters")
        with locked(self._root / "registry.lock", self._wait_s):
            self._finish_last()
            before = self.alias(alias)
            gates = self.gates(version, alias)
            closed = tuple(gate.name for gate in gates if not gate.is_open)
            forced = tuple(name for name in closed if force and name in FORCIBLE)
            if before == version and set(closed) <= set(FORCIBLE):
                return None  # what was forced is not asked for again, since nothing changes
            if forced != closed:
                raise PromotionRefusedError(_refusal(version, gates, force=force), closed)
            return self._change(
                Change(0, self._now_us(), "promote", alias, version, before, why, forced)
            )

    def rollback(self, why: str = "") -> Change:
        """Make the champion before the present one champion again.

        Raises:
            NothingBeforeError: there was none.
            PromotionRefusedError: it may not serve any more.
        """
        with locked(self._root / "registry.lock", self._wait_s):
            self._finish_last()
            now = self.alias()
            target = champion_before(self.history(), now)
            if now is None or target is None:
                raise NothingBeforeError(
                    f"{self.name} has no champion before {now or 'this'}: promote a version"
                    " (`outcry models promote`)"
                )
            gates = tuple(gate for gate in self.gates(target) if gate.name not in FORCIBLE)
            closed = tuple(gate.name for gate in gates if not gate.is_open)
            if closed:
                raise PromotionRefusedError(_refusal(target, gates, force=True), closed)
            return self._change(
                Change(0, self._now_us(), "rollback", CHAMPION, target, now, why[:WHY_LETTERS_MAX])
            )

    def finish(self) -> None:
        """Finish the last change, if whoever recorded it died before the alias moved."""
        with locked(self._root / "registry.lock", self._wait_s):
            self._finish_last()

    # --- under the lock

    def _add(self, folder: Path, given: LoadedModel) -> int:
        manifest = given.manifest
        client = self._open(may_make=True)
        with told():
            run_id = start_run(client, self._root / "artifacts", manifest)
        copy = self._folder(run_id)
        try:
            copy_model(folder, copy)
            read_model(copy, manifest_sha256=given.manifest_sha256)
            with told():
                self._make_name(client)
                made = client.create_model_version(
                    self.name, copy.as_uri(), run_id, tags=_tags(given)
                )
                client.set_terminated(run_id, "FINISHED")
        except BaseException:
            with suppress(Exception):
                client.set_terminated(run_id, "FAILED")
            shutil.rmtree(copy.parent, ignore_errors=True)
            raise
        return int(made.version)

    def _change(self, change: Change) -> Change:
        client = self._open()
        number = max((known.number for known in self.history()), default=0) + 1
        change = msgspec.structs.replace(change, number=number)
        with told():
            client.set_registered_model_tag(self.name, change.tag, _text(change))
            return self._finish(client, change)

    def _finish(self, client: "MlflowClient", change: Change) -> Change:
        client.set_registered_model_alias(self.name, change.alias, str(change.version))
        done = msgspec.structs.replace(change, is_done=True)
        client.set_registered_model_tag(self.name, change.tag, _text(done))
        return done

    def _finish_last(self) -> None:
        """What a process recorded before it died had passed its gates."""
        last = self.history()[-1:]
        if last and not last[0].is_done:
            with told():
                self._finish(self._open(), last[0])

    def _make_name(self, client: "MlflowClient") -> None:
        if self._model() is None:
            client.create_registered_model(
                self.name, description="Direction of the mid, a horizon later"
            )

    # --- MLflow

    def _manifest_if_any(self, number: int | None) -> ModelManifest | ModelRefusedError | None:
        if number is None:
            return None
        try:
            return self.manifest(number)
        except ModelRefusedError as error:
            return error

    def _open(self, *, may_make: bool = False) -> "MlflowClient":
        with self._opening:
            if self._client is not None:
                if self._database is not None and not self._database.exists():
                    raise RegistryAwayError(f"the registry's database {self._database} is gone")
                return self._client
            assert may_make or self._database is None or self._database.exists()
            self._client = open_client(self._url)
            return self._client

    def _model(self) -> "RegisteredModel | None":
        """None: nothing is registered under the name."""
        is_new = self._client is None and self._database is not None
        if is_new and self._database is not None and not self._database.exists():
            return None
        client = self._open()
        try:
            with told():
                return client.get_registered_model(self.name)
        except UnknownVersionError:
            return None

    def _folder(self, run_id: str) -> Path:
        if not _RUN.fullmatch(run_id):
            raise RegistryError(f"{run_id!r:.40} is no run of MLflow's")
        return self._root / "artifacts" / run_id / "artifacts"

    def _version(self, found: "ModelVersion", aliases: dict[int, tuple[str, ...]]) -> Version:
        number, tags = int(found.version), found.tags
        return Version(
            name=self.name,
            version=number,
            run_id=str(found.run_id),
            registered_us=int(found.creation_timestamp) * 1_000,
            manifest_sha256=tags.get("manifest_sha256", ""),
            model_sha256=tags.get("model_sha256", ""),
            kind=tags.get("kind", ""),
            feature_set=tags.get("feature_set", ""),
            fingerprint=tags.get("fingerprint", ""),
            dataset_sha256=tags.get("dataset_sha256", ""),
            beats_baseline=tags.get("beats_baseline") == "true",
            aliases=aliases.get(number, ()),
        )


def _by_version(model: "RegisteredModel") -> dict[int, tuple[str, ...]]:
    names: dict[int, tuple[str, ...]] = {}
    for alias, version in sorted(model.aliases.items()):
        names[int(version)] = (*names.get(int(version), ()), alias)
    return names


def _tags(given: LoadedModel) -> dict[str, str]:
    manifest = given.manifest
    return {
        "manifest_sha256": given.manifest_sha256,
        "model_sha256": manifest.model_sha256,
        "kind": manifest.kind,
        "feature_set": manifest.feature_set,
        "fingerprint": manifest.fingerprint,
        "dataset_sha256": manifest.data.sha256,
        "beats_baseline": str(baseline_gate(manifest).is_open).lower(),
    }


def _text(change: Change) -> str:
    return msgspec.json.encode(change).decode()


def _refusal(version: int, gates: tuple[Gate, ...], *, force: bool) -> str:
    closed = [gate for gate in gates if not gate.is_open]
    causes = "; ".join(f"{gate.name} ({gate.why})" for gate in closed)
    can_force = not force and all(gate.name in FORCIBLE for gate in closed)
    step = ": --force --why TEXT overrules it" if can_force else ""
    return f"version {version} is not promoted, a gate is closed: {causes}{step}"
