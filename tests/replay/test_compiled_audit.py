"""The audit says the same compiled and as pure Python, and no build outlives its sources."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from services.tools.proof import compiled, compiling
from tests.support.audit_form import Found
from tests.support.compiled_audit import compiled_build, without_switch

# A busy machine's C compiler takes minutes.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1_900)]
EDITED = "services/tools/proof/audit/model/numbers.py"


def run_form(
    builds: Path, change: str = "none", root: Path = compiled.ROOT, **environment: str
) -> Found:
    """Audit the same log in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.support.audit_form", str(builds), change],
        cwd=root, env=without_switch() | environment, capture_output=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    return msgspec.json.decode(ended.stdout, type=Found)


def copy_sources(root: Path) -> Path:
    """Another checkout."""
    for folder in ("services", "schemas", "infra", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(compiled.ROOT / folder, root / folder, ignore=ignored)
    return root


@pytest.mark.parametrize("change", ["none", "message", "row"])
def test_both_forms_find_the_same(change: str, tmp_path: Path) -> None:
    builds = compiled_build().parent
    pure, fast = run_form(tmp_path, change), run_form(builds, change)
    assert (pure.form, pure.modules) == ("pure Python", 0)
    assert (fast.form, fast.modules) == ("compiled", len(compiled.MODULES))
    assert bytes(fast.findings) == bytes(pure.findings)
    is_whole = msgspec.json.decode(pure.findings)["first"] is None
    assert is_whole == (change == "none")


def test_numbers_of_64_bits_are_the_same_in_machine_words(tmp_path: Path) -> None:
    """Where Python's numbers go on, machine words turn over."""
    answers = [
        subprocess.run(
            [sys.executable, "-c", NUMBERS, str(builds)],
            cwd=compiled.ROOT, env=without_switch(), capture_output=True, timeout=60, check=True,
        ).stdout.split(b" ", 1)
        for builds in (compiled_build().parent, tmp_path)
    ]  # fmt: skip
    assert [form for form, _ in answers] == [b"compiled", b"pure"]
    assert answers[0][1] == answers[1][1]


NUMBERS = """
import sys
from pathlib import Path
from services.tools.proof import compiled
compiled.load(compiled.find_build(Path(sys.argv[1])))
from services.tools.proof.audit.avro_reader import Reading
from services.tools.proof.audit.avro_steps import compile_steps
from services.tools.proof.audit.avro_writer import write_value
steps = compile_steps({"name": "N", "fields": [{"name": "n", "type": "long"}]})
print(compiled.form().split()[0], end=" ")
for power in range(64):
    for number in {2**power - 1, -(2**power), 2**power // 3, -(2**power) // 5}:
        value = write_value(b"", steps, {"n": number})
        assert Reading(value, 0).whole(steps) == {"n": number}, number
        print(value.hex(), end=" ")
for end in range(256):
    for body in (bytes([255] * 9 + [end]), bytes([128] * 8 + [end]), bytes([255] * 10 + [end])):
        print(Reading(body, 0).whole(steps), end=" ")
"""


def test_the_switch_forces_pure_python() -> None:
    found = run_form(compiled_build().parent, OUTCRY_PURE="1")
    assert (found.form, found.modules) == ("pure Python", 0)


def test_an_edited_source_is_not_served_by_an_old_build(tmp_path: Path) -> None:
    """The edit is in a module that is not compiled itself: compiled ones took its constant in."""
    root, builds = copy_sources(tmp_path / "checkout"), compiled_build().parent
    assert run_form(builds, root=root).form == "compiled", "the same sources elsewhere"
    edited = root / EDITED
    source = edited.read_text(encoding="utf-8")
    assert "OPEN: Final = 0" in source
    edited.write_text(source.replace("OPEN: Final = 0", "OPEN: Final = 9"), encoding="utf-8")
    found = run_form(builds, root=root)
    assert (found.form, found.modules) == ("pure Python", 0)
    first = msgspec.json.decode(found.findings)["first"]
    assert first is not None, "what runs is the edited source"


def test_each_source_that_a_build_rests_on_names_it(tmp_path: Path) -> None:
    root = copy_sources(tmp_path)
    names = {compiled.build_name(root)}
    for module in (*compiled.MODULES, *compiled.LEANS_ON, f"{compiled.PACKAGE}.rows"):
        path = compiled.source_of(module, root)
        path.write_bytes(path.read_bytes() + b"\n")
        names.add(compiled.build_name(root))
    assert len(names) == len(compiled.MODULES) + len(compiled.LEANS_ON) + 2


def test_compiled_modules_import_only_what_names_a_build() -> None:
    allowed = set(compiled.LEANS_ON)
    imported = set()
    for module in compiled.MODULES:
        tree = ast.parse(compiled.source_of(module).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("services."):
                imported.add(str(node.module))
    outside = {name for name in imported if not name.startswith(compiled.PACKAGE)}
    assert outside <= allowed
    assert outside, "it looks at imports"


def test_without_a_compiler_it_is_pure_python_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(compiled.PURE_SWITCH)
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert compiling.compile_audit(said.append, tmp_path / "builds") is None
    assert len(said) == 2
    assert "pure Python" in said[1]
    assert "no C compiler" in said[1]
    assert "\n" not in said[1]


def test_sources_that_mypyc_refuses_are_run_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy_sources(tmp_path)
    broken = compiled.source_of(compiled.MODULES[0], root)
    broken.write_text("def broken(:\n", encoding="utf-8")
    monkeypatch.delenv(compiled.PURE_SWITCH)
    said: list[str] = []
    assert compiling.compile_audit(said.append, root / "builds", root) is None
    assert "mypyc or the C compiler failed" in said[-1]
    assert list((root / "builds").iterdir()) == [], "nothing half made is left"
