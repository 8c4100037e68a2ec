"""The feature folds with one line changed: what a careless edit would make of them."""

import sys
from collections.abc import Mapping
from importlib import import_module, invalidate_caches
from itertools import count
from pathlib import Path
from typing import Any

from services.featuresets.definitions import FeatureSet
from tests.tidy.tree import ROOT

_copies = count()


def planted_sets(
    folder: Path, module: str, old: str, new: str, added: Mapping[str, str] | None = None
) -> Mapping[str, FeatureSet[Any]]:
    """SETS of a copy of the package in `folder`, in which one module's text says `new`.

    The copy is a package of its own name, so that nothing of the real one is touched. `added` are
    modules that the real one has not, by name.
    """
    name = f"planted_featuresets_{next(_copies)}"
    package = folder / name
    package.mkdir()
    files = {
        file.stem: file.read_text(encoding="utf-8")
        for file in ROOT.glob("services/featuresets/*.py")
    }
    for stem, plain in (files | dict(added or {})).items():
        text = plain
        if stem == module:
            assert text.count(old) == 1, f"{module} says {text.count(old)} times {old!r}"
            text = text.replace(old, new)
        text = text.replace("services.featuresets", name)
        (package / f"{stem}.py").write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    invalidate_caches()
    try:
        sets: Mapping[str, FeatureSet[Any]] = import_module(name).SETS
    finally:
        sys.path.remove(str(folder))
        for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
            del sys.modules[loaded]
    return sets
