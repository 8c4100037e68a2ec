"""Registered models as people read them, and as programs do."""

import sys
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.models.changes import Change
from services.models.errors import ModelRefusedError, UnknownVersionError
from services.models.manifest import Estimate, Metrics, ModelManifest
from services.models.registry import Registry, Version
from services.models.rules import Verdict, beats_champion
from services.tools.operate.present import print_table

_FIGURES: Final = ("macro_f1", "mcc", "log_loss", "ece", "pnl_per_row")
_HASH_LETTERS: Final = 12
_SPAN: Final = "log offsets, or places in ingested history,"


class Listed(msgspec.Struct, frozen=True):
    """A version and its figures; without them it can't be read, and `fault` says why."""

    version: Version
    metrics: Metrics | None
    fault: str = ""


class GateState(msgspec.Struct, frozen=True):
    """A gate of promotion as it is now."""

    name: str
    is_open: bool
    why: str


class Shown(msgspec.Struct, frozen=True):
    """Everything that is known of a version."""

    version: Version
    folder: str
    manifest: ModelManifest
    gates: list[GateState]
    history: list[Change]
    """Changes that it had a part in."""


class Compared(msgspec.Struct, frozen=True):
    """Two versions, and each against the other by the rule of promotion."""

    versions: tuple[Version, Version]
    manifests: tuple[ModelManifest, ModelManifest]
    is_first_better: Verdict
    is_second_better: Verdict


def resolve(registry: Registry, which: str) -> int:
    """The version that a number or an alias means.

    Raises:
        UnknownVersionError: nobody has the alias, or it is none.
    """
    if which.isascii() and which.isdigit():
        return int(which[:18])
    aliases = registry.aliases()
    if which in aliases:
        return aliases[which]
    told = ", ".join(f"{alias} is {number}" for alias, number in sorted(aliases.items()))
    raise UnknownVersionError(
        f"{which!r:.40} is no version of {registry.name}: give a number or an alias"
        f" ({told or 'no alias is set'})"
    )


def listed(registry: Registry) -> list[Listed]:
    """The newest first."""
    found = []
    for version in registry.versions():
        try:
            found.append(Listed(version, registry.manifest(version.version).metrics))
        except ModelRefusedError as error:
            found.append(Listed(version, None, str(error)))
    return found


def shown(registry: Registry, which: str) -> Shown:
    """One version.

    Raises:
        UnknownVersionError: there is none.
        ModelRefusedError: its manifest can't be read.
    """
    number = resolve(registry, which)
    version = registry.version(number)
    manifest = registry.manifest(number)
    gates = [GateState(gate.name, gate.is_open, gate.why) for gate in registry.gates(number)]
    changes = [c for c in registry.history() if number in (c.version, c.before)]
    return Shown(version, str(registry.folder_of(number)), manifest, gates, changes)


def compared(registry: Registry, one: str, other: str) -> Compared:
    """Two versions.

    Raises:
        UnknownVersionError: there is no such version.
        ModelRefusedError: a manifest can't be read.
    """
    first, second = resolve(registry, one), resolve(registry, other)
    manifests = registry.manifest(first), registry.manifest(second)
    return Compared(
        (registry.version(first), registry.version(second)),
        manifests,
        beats_champion(manifests[0], manifests[1]),
        beats_champion(manifests[1], manifests[0]),
    )


def print_listed(name: str, found: list[Listed]) -> None:
    """A table, one line a version."""
    if not found:
        sys.stdout.write(f"nothing is registered as {name}: train a model (`outcry train`)\n")
        return
    print_table(
        (
            "version", "aliases", "kind", "feature set", "macro-F1", "log-loss", "beats baselines",
            "registered (UTC)", "model",
        ),
        [
            (
                row.version.version,
                ", ".join(row.version.aliases) or "-",
                row.version.kind,
                row.version.feature_set,
                _figure(row.metrics.macro_f1) if row.metrics else row.fault,
                _figure(row.metrics.log_loss) if row.metrics else "",
                "yes" if row.version.beats_baseline else "no",
                _time(row.version.registered_us),
                row.version.model_sha256[:_HASH_LETTERS],
            )
            for row in found
        ],
    )  # fmt: skip


def print_shown(found: Shown) -> None:
    """Origin, figures beside the baselines', gates and changes."""
    version, manifest = found.version, found.manifest
    data = manifest.data
    facts = [
        ("model", f"{version.name} version {version.version}, {manifest.kind}"),
        ("aliases", ", ".join(version.aliases) or "none"),
        ("registered (UTC)", _time(version.registered_us)),
        ("folder", found.folder),
        ("model file", f"{manifest.model_file}, sha256 {manifest.model_sha256}"),
        ("features", f"{manifest.feature_set}, {len(manifest.columns)} inputs"),
        ("fingerprint", manifest.fingerprint),
        ("label", f"{manifest.label.horizon_s} s, past {manifest.label.threshold}/20000 dollar"),
        ("data", f"{data.rows:,} rows, sha256 {data.sha256}"),
        ("grid times (UTC)", f"{_time(data.first_grid_us)} to {_time(data.last_grid_us)}"),
        *(
            (
                f"trades of {ticker}",
                f"{_SPAN} {offsets.first:,} to {offsets.last:,}",
            )
            for ticker, offsets in data.offsets.items()
        ),
        ("test", f"{data.folds} folds, walk-forward, gaps of {data.gap_s} s"),
        ("seed", manifest.seed),
        ("code", manifest.code_version),
        ("run", version.run_id),
    ]
    print_table(("", ""), facts)
    sys.stdout.write("\n")
    others = [(each.name, each.metrics) for each in manifest.baselines]
    if manifest.champion is not None:
        fresh = manifest.champion.fresh
        where = f"{fresh.rows:,} rows new to it" if fresh else "rows it was trained on"
        others.append((f"champion then, on {where}", manifest.champion.metrics))
    _print_figures([("this model", manifest.metrics), *others])
    sys.stdout.write("\n")
    print_table(
        ("gate", "", "why"),
        [(gate.name, "open" if gate.is_open else "CLOSED", gate.why) for gate in found.gates],
    )
    if found.history:
        sys.stdout.write("\n")
        _print_changes(found.history)


def print_compared(found: Compared) -> None:
    """Figures side by side and the rule's verdict."""
    names = [f"version {version.version}" for version in found.versions]
    _print_figures(
        [(name, manifest.metrics) for name, manifest in zip(names, found.manifests, strict=True)]
    )
    first, second = names
    for one, other, verdict in (
        (first, second, found.is_first_better),
        (second, first, found.is_second_better),
    ):
        says = "beats" if verdict.holds else "does not beat"
        sys.stdout.write(f"{one} {says} {other}: {verdict.why}\n")


def print_change(change: Change | None, otherwise: str = "") -> None:
    """What a promotion or a rollback did."""
    if change is None:
        sys.stdout.write(f"{otherwise}\n")
        return
    before = f", before it version {change.before}" if change.before else ""
    by_force = f"; by force past: {', '.join(change.forced)}" if change.forced else ""
    sys.stdout.write(f"{change.alias} is version {change.version}{before}{by_force}\n")


def print_history(name: str, found: list[Change]) -> None:
    """A table, one line a change."""
    if not found:
        sys.stdout.write(f"no alias of {name} was ever set\n")
        return
    _print_changes(found)


def _print_changes(changes: list[Change]) -> None:
    print_table(
        ("change", "time (UTC)", "what", "alias", "version", "before", "by force past", "why"),
        [
            (
                change.number,
                _time(change.at_us),
                change.action if change.is_done else f"{change.action}, not finished",
                change.alias,
                change.version,
                change.before or "-",
                ", ".join(change.forced) or "-",
                change.why or "-",
            )
            for change in changes
        ],
    )


def _print_figures(columns: list[tuple[str, Metrics]]) -> None:
    print_table(
        ("figure", *(name for name, _ in columns)),
        [
            (figure, *(_figure(getattr(metrics, figure)) for _, metrics in columns))
            for figure in _FIGURES
        ],
    )


def _figure(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
