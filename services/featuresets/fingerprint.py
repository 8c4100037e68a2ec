"""What tells two folds apart: a hash over a set's definitions and over the code that makes them.

The code is that of the set's module and of every module of this package which it imports, however
indirectly, as Python understands it: comments, docstrings, blank space and line breaks count for
nothing. `definitions` is left out, since its values are hashed themselves; so is the package's
own page, which lists every set.
"""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from importlib.abc import SourceLoader
from importlib.util import find_spec
from typing import Any, Final

import msgspec

from services.featuresets.definitions import FeatureSet

_PACKAGE: Final = "services.featuresets"
_OWN: Final = (_PACKAGE + ".", "services.domain.")
_LEFT_OUT: Final = frozenset({f"{_PACKAGE}.definitions"})

type Source = Callable[[str], str | None]
"""The text of a module by its name; None where there is no such module."""


def read_source(module: str) -> str | None:
    """The text of an installed module."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # `module` is a name inside a module, and so not a package's part.
        return None
    loader = None if spec is None else spec.loader
    return loader.get_source(module) if isinstance(loader, SourceLoader) else None


@cache
def fingerprint(feature_set: FeatureSet[Any], source: Source = read_source) -> str:
    """SHA-256 in hexadecimal; takes some 10 ms the first time."""
    digest = sha256(
        msgspec.json.encode([feature_set.name, feature_set.source, feature_set.features])
    )
    for module, code in sorted(code_of(feature_set.module, source).items()):
        digest.update(f"\n# {module}\n{code}\n".encode())
    return digest.hexdigest()


def code_of(module: str, source: Source = read_source) -> dict[str, str]:
    """The modules that a fold is made of, by name, each without what does not run.

    Raises:
        LookupError: the module itself is not there.
    """
    text = source(module)
    if text is None:
        raise LookupError(f"there is no module {module} to take the code of")
    codes: dict[str, str] = {}
    waiting = {module: text}
    while waiting:
        name, text = waiting.popitem()
        tree = ast.parse(text, filename=name)
        codes[name] = ast.unparse(_WithoutText().visit(tree))
        for imported in _imports(tree):
            if imported in codes or imported in waiting or imported in _LEFT_OUT:
                continue
            found = source(imported) if imported.startswith(_OWN) else None
            if found is not None:
                waiting[imported] = found
    return codes


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                # `from package import part`: the part may be a module itself.
                yield from (f"{module}.{name.name}" for name in names)


class _WithoutText(ast.NodeTransformer):
    """Drops strings that stand alone, which are docstrings wherever they stand."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return node
