"""The import contracts in pyproject.toml, tried on a small house with a planted break each."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT

HOUSE = {
    "__init__.py": "",
    "domain/__init__.py": "",
    "domain/orders.py": "",
    "domain/amounts.py": "",
    "wire/__init__.py": "from services.domain import orders",
    "wire/codec.py": "",
    "wire/json_commands.py": "",
    "wire/messages.py": "",
    "wire/partition.py": "",
    "runtime/fold.py": "",
    "runtime/loop.py": "",
    "runtime/__init__.py": "import time\nfrom services import wire",
    "gateway/__init__.py": "",
    "inference/__init__.py": "",
    "ingest/__init__.py": "",
    "lake/__init__.py": "",
    "matcher/__init__.py": "",
    "matcher/service.py": "",
    "client/__init__.py": "",
    "door/__init__.py": "",
    "drift/__init__.py": "",
    "features/__init__.py": "",
    "featuresets/__init__.py": "",
    "materializer/__init__.py": "",
    "models/__init__.py": "",
    "online/__init__.py": "",
    "recorder/__init__.py": "",
    "risk/__init__.py": "",
    "risk/__main__.py": "from services.risk import service",
    "risk/service.py": "from services import runtime\nfrom services.risk.core import account",
    "risk/core/__init__.py": "",
    "risk/core/account.py": "from services.domain import orders",
    "scoring/__init__.py": "",
    "trainer/__init__.py": "",
    "tools/__init__.py": "from services.risk.core import account",
    "tools/market/__init__.py": "",
    "tools/proof/__init__.py": "",
    "tools/proof/audit/__init__.py": "",
    "tools/proof/audit/flows.py": "",
    "tools/proof/audit/model/__init__.py": "",
    "tools/proof/audit/model/risk.py": "",
    "cli.py": "from services import tools",
}


def lint_house(folder: Path, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in (HOUSE | changes).items():
        file = folder / "services" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_house_that_keeps_the_walls_passes(tmp_path: Path) -> None:
    outcome = lint_house(tmp_path, {})
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "0 broken" in outcome.stdout


@pytest.mark.parametrize(
    "module,text,complaint",
    [
        (
            "matcher/service.py",
            "from services.risk import core",
            "services.matcher.service -> services.risk.core",
        ),
        ("wire/__init__.py", "from services import runtime", "services.wire -> services.runtime"),
        (
            "risk/service.py",
            "from services import tools",
            "services.risk.service -> services.tools",
        ),
        ("risk/core/account.py", "from services.risk import service", "core is not allowed to"),
        ("risk/core/account.py", "import time", "services.risk.core.account -> time"),
        ("risk/core/account.py", "from datetime import UTC", "core.account -> datetime"),
        ("domain/orders.py", "import random", "services.domain.orders -> random"),
        ("wire/__init__.py", "import os.path", "services.wire -> os"),
        ("domain/orders.py", "from services.domain import amounts", "in a circle BROKEN"),
        ("auctions.py", "", "services.auctions"),
        (
            "tools/proof/audit/flows.py",
            "from services.wire import codec",
            "services.tools.proof.audit.flows -> services.wire.codec",
        ),
        (
            "tools/proof/audit/model/risk.py",
            "from services.domain import amounts",
            "services.tools.proof.audit.model.risk -> services.domain.amounts",
        ),
    ],
)
def test_a_planted_break_of_a_wall_is_found(
    tmp_path: Path, module: str, text: str, complaint: str
) -> None:
    circle = {"domain/amounts.py": "from services.domain import orders"}
    outcome = lint_house(tmp_path, circle | {module: text})
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert complaint in outcome.stdout
