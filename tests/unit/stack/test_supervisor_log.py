"""The supervisor's own log: as rooms log, without secrets, and readable by who looks for times."""

import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from services.tools.proof.chaos.timeline import Mark, steps_after
from services.tools.stack.plan import stack_plan
from services.tools.stack.settings import StackSettings
from services.tools.stack.status import run_directory

_SUPERVISE = """
import logging, os, sys
import services.tools.stack.__main__ as supervisor
from services.tools.stack.components import Component
from services.tools.stack.errors import StackError

def refuse():
    logging.getLogger("library").warning("password=hunter2")
    raise StackError("postgresql://outcry:hunter2@db/outcry is away")

runs = Component("kafka", ("sleep", "600"), os.environ, lambda pid: True)
fails = Component("risk", ("true",), os.environ, lambda pid: False, initialise=refuse)
supervisor.components_of = lambda plan: (runs, fails)
sys.exit(supervisor.main(sys.argv[1:]))
"""


def test_the_supervisor_logs_as_rooms_do_and_says_no_secret(tmp_path: Path) -> None:
    for folder in (run_directory(tmp_path), tmp_path / "logs"):
        folder.mkdir()
    plan = stack_plan(StackSettings(home=tmp_path), ())
    (run_directory(tmp_path) / "plan.json").write_bytes(msgspec.json.encode(plan))
    log = tmp_path / "logs" / "supervisor.log"
    began_s = time.time()
    with log.open("ab") as output:
        ended = subprocess.run(
            [sys.executable, "-c", _SUPERVISE, tmp_path],
            check=False, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert ended.returncode == 1
    text = log.read_text(encoding="utf-8")
    assert "hunter2" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    own = [line for line in lines if "logger" not in line]
    assert {line["room"] for line in own} == {"supervisor"}
    died = [line for line in own if line["event"] == "component_died"]
    assert {(line["component"], line["level"]) for line in died} == {("risk", "warning")}
    assert "postgresql://outcry:[redacted]@db/outcry" in died[0]["cause"]
    assert [line["event"] for line in own][-3:] == ["gave_up", "component_stopped", "stopped"]
    supervisor, nobody = Mark(log, 0), Mark(tmp_path / "none", 0)
    assert steps_after("kafka", began_s, supervisor, nobody).keys() == {"started"}
    (noticed_s,) = steps_after("risk", began_s, supervisor, nobody).values()
    assert 0 <= noticed_s <= time.time() - began_s
