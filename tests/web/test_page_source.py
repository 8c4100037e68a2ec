"""The page's TypeScript by its own tools."""

import json
import re
import subprocess

import pytest

from services.domain.amounts import PRICE_MAX, PRICE_SCALE, QUANTITY_MAX
from services.domain.rejections import REJECTIONS
from tests.support.web_page import WEB, build_page


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_pages_own_checks_pass(script: str) -> None:
    build_page()
    ended = subprocess.run(
        ["npm", "run", "--silent", script],
        cwd=WEB, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_ticket_speaks_of_faults_in_the_exchanges_own_words() -> None:
    source = (WEB / "src" / "ticket.ts").read_text(encoding="utf-8")
    said = dict(re.findall(r'^  ([A-Z_]+): "([^"]+)",$', source, re.MULTILINE))
    assert "OFF_TICK" in said
    assert said == {reason: REJECTIONS[reason] for reason in said}
    bounds = dict(re.findall(r"const (\w+_MAX) = ([0-9_]+)", source))
    assert int(bounds["QUANTITY_MAX"]) == QUANTITY_MAX
    assert int(bounds["PRICE_MAX"]) * PRICE_SCALE == PRICE_MAX


def test_the_pages_lock_pins_every_package_by_hash_and_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert len(packages) > 20
    assert not [name for name, entry in packages.items() if "resolved" in entry]
    assert not [name for name, entry in packages.items() if "integrity" not in entry]
    wanted = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    pinned = wanted["dependencies"] | wanted["devDependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in pinned} == pinned
