import re

import pytest

from services.featuresets import SETS
from services.featuresets.fingerprint import code_of, fingerprint, read_source
from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from tests.support.golden_fingerprints import published
from tests.tidy.tree import ROOT


def _with_change(module: str, old: str, new: str) -> str:
    """The first version's fingerprint, had one module another text."""
    name = f"services.featuresets.{module}"

    def source(asked: str) -> str | None:
        text = read_source(asked)
        if asked != name or text is None:
            return text
        assert old in text
        return text.replace(old, new)

    return fingerprint(MICROSTRUCTURE_V1, source)


def test_the_published_sets_are_what_they_were() -> None:
    pinned = published()
    assert SETS.keys() <= pinned.keys(), (
        "a set is not pinned yet: `python -m tests.support.golden_fingerprints` when it is final"
    )
    assert {name: fingerprint(feature_set) for name, feature_set in SETS.items()} == pinned, (
        "a published fold or definition changed: give it a new version instead"
    )


@pytest.mark.parametrize(
    "module, old, new",
    [
        ("grid", "SILENCE_MAX_S: Final = 120", "SILENCE_MAX_S: Final = 121"),
        ("integers", "twice > denominator", "twice >= denominator"),
        ("tiles", "self._tiles[-1].price", "self._tiles[-2].price"),
        ("measures", "RATIO_SCALE: Final = 1_000_000", "RATIO_SCALE: Final = 1_000_001"),
        ("microstructure_v1", "_WINDOWS_S: Final = (1, 5, 30, 60)", "_WINDOWS_S = (1, 5, 30, 59)"),
        ("ticks", "price: int", "price: float"),
    ],
)
def test_one_changed_constant_anywhere_in_a_fold_changes_it(
    module: str, old: str, new: str
) -> None:
    assert _with_change(module, old, new) != fingerprint(MICROSTRUCTURE_V1)


@pytest.mark.parametrize(
    "module, old, new",
    [
        ("grid", "SILENCE_MAX_S: Final = 120", "SILENCE_MAX_S: Final = 120  # two minutes"),
        ("grid", "SILENCE_MAX_S: Final = 120", 'SILENCE_MAX_S: Final = 120\n"""Two minutes."""'),
        ("grid", "\nSILENCE_MAX_S: Final = 120", "\n\n\nSILENCE_MAX_S: Final = (\n    120\n)"),
        ("tiles", "Tiles of one ticker, as far back", "The tiles of a ticker, as far back"),
        ("integers", "1) // 2", "1)//2"),
    ],
)
def test_comments_docstrings_and_blank_space_do_not_change_it(
    module: str, old: str, new: str
) -> None:
    assert _with_change(module, old, new) == fingerprint(MICROSTRUCTURE_V1)


def test_another_definition_changes_it() -> None:
    import msgspec

    first, *rest = MICROSTRUCTURE_V1.features
    other = msgspec.structs.replace(first, scale=first.scale * 10)
    changed = msgspec.structs.replace(MICROSTRUCTURE_V1, features=(other, *rest))
    assert fingerprint(changed) != fingerprint(MICROSTRUCTURE_V1)


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_module_that_a_fold_imports_is_in_it(name: str) -> None:
    covered = code_of(SETS[name].module)
    imported = {
        found
        for module in covered
        for found in re.findall(r"services\.featuresets\.\w+", read_source(module) or "")
    }
    assert imported - set(covered) == {"services.featuresets.definitions"}


def test_one_version_is_not_made_of_anothers_module() -> None:
    modules = {path.stem for path in ROOT.glob("services/featuresets/*_v[0-9]*.py")}
    assert {name: _versions_in(name) for name in modules} == {name: {name} for name in modules}


def _versions_in(name: str) -> set[str]:
    code = code_of(f"services.featuresets.{name}")
    return {found for module in code if re.search(r"_v\d+$", found := module.rpartition(".")[2])}


def test_a_module_that_is_not_there_is_said() -> None:
    with pytest.raises(LookupError, match=r"no module services\.featuresets\.nothing"):
        code_of("services.featuresets.nothing")
