"""A run of steps: what is kept, what is done again, and what a fault leaves."""

import fcntl
from pathlib import Path
from typing import Any

import pytest

from services.runtime.errors import FatalError
from services.tools.pipeline.errors import PipelineError, RunLockedError, StepFailedError
from services.tools.pipeline.steps import Earlier, Step, read_records, run_steps


class Work:
    """Three steps, each with what the one before gave; counts how often each is done."""

    def __init__(self) -> None:
        self.given = {"first": 1, "second": 2, "third": 3}
        self.acted: list[str] = []
        self.fails = ""

    def steps(self) -> list[Step]:
        return [
            self._step("first", ""),
            self._step("second", "first"),
            self._step("third", "second"),
        ]

    def _step(self, name: str, before: str) -> Step:
        def inputs(earlier: Earlier) -> dict[str, Any]:
            return {"own": self.given[name], "before": earlier[before]["sum"] if before else 0}

        def act(earlier: Earlier) -> dict[str, Any]:
            self.acted.append(name)
            if self.fails == name:
                raise FatalError("the disk is full; make room")
            # A sum of halves: a small change need not reach the next step.
            return {"sum": (self.given[name] + inputs(earlier)["before"]) // 2}

        return Step(name, inputs, act)


def silent(_line: str) -> None:
    pass


def test_what_was_done_with_the_same_inputs_is_kept(tmp_path: Path) -> None:
    work = Work()
    first = run_steps(tmp_path, work.steps(), silent)
    assert [done.kept for done in first] == [False, False, False]
    again = run_steps(tmp_path, work.steps(), silent)
    assert [done.kept for done in again] == [True, True, True]
    assert [done.record for done in again] == [done.record for done in first]
    assert work.acted == ["first", "second", "third"]


def test_a_change_is_followed_as_far_as_it_reaches(tmp_path: Path) -> None:
    work = Work()
    run_steps(tmp_path, work.steps(), silent)
    work.acted.clear()
    work.given["second"] = 40
    run_steps(tmp_path, work.steps(), silent)
    assert work.acted == ["second", "third"]
    work.acted.clear()
    work.given["first"] = 0  # half of it is what half of 1 was
    run_steps(tmp_path, work.steps(), silent)
    assert work.acted == ["first"]


def test_a_run_goes_on_at_the_step_that_failed(tmp_path: Path) -> None:
    work = Work()
    work.fails = "second"
    with pytest.raises(StepFailedError, match="step second: the disk is full; make room"):
        run_steps(tmp_path, work.steps(), silent)
    assert [record.step for record in read_records(tmp_path)] == ["first"]
    work.fails = ""
    done = run_steps(tmp_path, work.steps(), silent)
    assert [item.kept for item in done] == [True, False, False]
    assert work.acted == ["first", "second", "second", "third"]


def test_a_half_written_record_is_not_seen(tmp_path: Path) -> None:
    work = Work()
    (tmp_path / ".01-first.json.partial").write_text('{"step": "fir')
    done = run_steps(tmp_path, work.steps(), silent)
    assert [item.kept for item in done] == [False, False, False]


@pytest.mark.parametrize("content", ["{", "[]", '{"step": "first"}'])
def test_a_damaged_record_is_named_and_not_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "01-first.json").write_text(content)
    work = Work()
    with pytest.raises(PipelineError, match=r"01-first\.json is no record of a step"):
        run_steps(tmp_path, work.steps(), silent)
    assert work.acted == []


def test_a_record_that_can_not_be_written_or_read_says_what_to_do(tmp_path: Path) -> None:
    work = Work()
    (tmp_path / ".01-first.json.partial").mkdir()
    with pytest.raises(PipelineError, match=r"written \(.*take the run up again \(--run\)"):
        run_steps(tmp_path, work.steps(), silent)
    (tmp_path / "01-first.json").mkdir()
    with pytest.raises(PipelineError, match=r"read \(.*name another run \(--run\)"):
        run_steps(tmp_path, work.steps(), silent)


def test_two_processes_do_not_work_on_one_run(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunLockedError, match="another process works on the run"):
            run_steps(tmp_path, Work().steps(), silent)
    assert read_records(tmp_path) == []


def test_a_step_is_told_once_it_is_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    run_steps(tmp_path, Work().steps(), lines.append)
    run_steps(tmp_path, Work().steps(), lines.append)
    assert lines[:3] == ["first ...", "second ...", "third ..."]
    assert all("kept from" in line for line in lines[3:])
