"""The audit in compiled form, where there is a build of these very sources; else in pure Python.

The Python sources are the audit. mypyc makes machine code of those that every record passes
(`MODULES`), into a folder that is named by what it was made from: the sources, whatever their
constants and types come from, the interpreter. A build of anything else is another folder and is
never looked at, so an edited source runs as pure Python until it is compiled again. Both forms
give the same findings and digests; tests/replay/test_compiled_audit.py compares them.
"""

import os
import sys
import sysconfig
from collections.abc import Sequence
from hashlib import blake2b
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

PURE_SWITCH: Final = "OUTCRY_PURE"
"""Set to 1: pure Python, whatever is built."""

ROOT: Final = Path(__file__).parents[3]
"""Where `services` lies."""
BUILDS: Final = ROOT / ".compiled"

PACKAGE: Final = "services.tools.proof.audit"
MODULES: Final = tuple(
    f"{PACKAGE}.{name}"
    for name in (
        "avro_reader", "avro_steps", "avro_writer", "digests", "folds", "ingest", "partitions",
        "row_check", "row_maker", "schemas", "model.accounts", "model.book", "model.caps",
        "model.ids", "model.matcher", "model.orders", "model.outcomes", "model.reports",
        "model.risk", "model.said", "model.trace", "model.voice",
    )
)  # fmt: skip
"""What is compiled: all that is done for every record."""

LEANS_ON: Final = (
    "services.runtime.errors",
    "services.runtime.ports",
    "services.wire.schemas",
    "services.wire.topics",
)
"""What the audit's modules import from outside their package."""

_MAKER: Final = "services.tools.proof.compiling"
_SUFFIX: Final = sysconfig.get_config_var("EXT_SUFFIX")
_HASH_BYTES: Final = 12


def source_of(module: str, root: Path = ROOT) -> Path:
    """The file of a module."""
    return root / (module.replace(".", "/") + ".py")


def build_name(root: Path = ROOT) -> str:
    """What a build of the present sources for this interpreter is called."""
    files = sorted((root / PACKAGE.replace(".", "/")).rglob("*.py"))
    digest = blake2b(digest_size=_HASH_BYTES)
    digest.update(f"{sys.version} {_SUFFIX} {_runtime_version()}".encode())
    outside = [source_of(module, root) for module in (*LEANS_ON, _MAKER)]
    for path in (*files, *outside):
        source = path.read_bytes()
        digest.update(f"\n{path.relative_to(root)} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def _runtime_version() -> str:
    """Of what compiled code calls."""
    try:
        return version("librt")
    except PackageNotFoundError:
        return ""


def find_build(builds: Path = BUILDS, root: Path = ROOT) -> Path | None:
    """The build of the present sources; None: there is none, or pure Python is asked for."""
    if os.environ.get(PURE_SWITCH) == "1":
        return None
    build = builds / build_name(root)
    return build if build.is_dir() else None


def load(build: Path | None) -> bool:
    """Let this process import the audit's modules from a build; whether it will.

    A process that has imported any of them already goes on with what it has.
    """
    if loaded() is not None:
        return True
    if build is None or not sys.modules.keys().isdisjoint(MODULES):
        return False
    sys.meta_path.insert(0, _Finder(build))
    return True


def loaded() -> Path | None:
    """The build that this process imports from; None: pure Python."""
    return next((found.build for found in sys.meta_path if isinstance(found, _Finder)), None)


class _Finder:
    """Finds the modules of one build, and the library that they share."""

    def __init__(self, build: Path) -> None:
        self.build = build
        self._files = {path.name.removesuffix(_SUFFIX): path for path in build.glob(f"*{_SUFFIX}")}

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> ModuleSpec | None:
        """As importlib asks."""
        found = self._files.get(name)
        if found is None:
            return None
        loader = ExtensionFileLoader(name, str(found))
        return spec_from_file_location(name, found, loader=loader)


def form() -> str:
    """How the audit runs in this process: 'compiled' or 'pure Python'."""
    module = sys.modules.get(MODULES[0])
    is_compiled = module is not None and isinstance(module.__loader__, ExtensionFileLoader)
    return "compiled" if is_compiled else "pure Python"
