"""What a chaos run prints: after a fault also the command that repeats it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.tools.proof.chaos import plan
from services.tools.proof.chaos.run import Account, Measured, Say

RUN = "chaos --seed 7 --scenario kills --scenario broker --kills 3 --resting 2000 --rate 40"


def invoke(
    monkeypatch: pytest.MonkeyPatch, arguments: str, faults: list[str]
) -> tuple[int, str, list[plan.Order]]:
    """The command with a run that only notes what was ordered; code, output, orders."""
    ordered: list[plan.Order] = []

    def run(order: plan.Order, _say: Say) -> Account:
        ordered.append(order)
        return Account(measured=[Measured("kills", "next trade", 0.5, 3.0)], faults=faults)

    monkeypatch.setattr(plan, "run_chaos", run)
    done = CliRunner().invoke(app, arguments.split())
    return done.exit_code, done.output, ordered


def test_a_fault_comes_with_the_command_that_orders_the_same_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = f" --home {tmp_path}"
    code, output, ordered = invoke(monkeypatch, RUN + home, ["kills: 1 order is lost"])
    assert code == 1
    assert "FAULT kills: 1 order is lost" in output
    repeat = next(line for line in output.splitlines() if "repeat: outcry chaos" in line)
    arguments = repeat.split("outcry ")[1]
    assert arguments == RUN
    _, _, again = invoke(monkeypatch, arguments + home, ["kills: 1 order is lost"])
    assert again == ordered


def test_a_run_of_every_scenario_is_repeated_by_its_seed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, output, _ = invoke(monkeypatch, f"chaos --seed 2 --standby --home {tmp_path}", ["lost"])
    assert (
        "repeat: outcry chaos --seed 2 --kills 20 --resting 100000 --rate 100 --standby" in output
    )


def test_a_run_without_a_fault_says_so_and_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, output, _ = invoke(monkeypatch, f"{RUN} --home {tmp_path}", [])
    assert code == 0
    assert "Nothing is lost, nothing happened twice." in output
    assert "repeat" not in output
