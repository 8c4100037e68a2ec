"""The stack's processes as metrics."""

import os
from pathlib import Path

from services.tools.observe.exporter import StackExporter
from services.tools.stack.identity import identify
from services.tools.stack.status import (
    ComponentStatus,
    Phase,
    StackStatus,
    State,
    run_directory,
    write_status,
)


def row(name: str, state: State, restarts: int = 0) -> ComponentStatus:
    return ComponentStatus(name, state, None, None, restarts, None, log="")


def publish(home: Path, *rows: ComponentStatus) -> None:
    supervisor = identify(os.getpid())
    assert supervisor is not None
    run_directory(home).mkdir(exist_ok=True)
    write_status(home, StackStatus(Phase.UP, supervisor, rows))


def shown(exporter: StackExporter) -> list[str]:
    exporter.refresh()
    return exporter.telemetry.exposition().decode().splitlines()


def test_components_are_shown_as_the_supervisor_has_them(tmp_path: Path) -> None:
    exporter = StackExporter(tmp_path, memory=lambda _: 3)
    publish(
        tmp_path, row("kafka", State.UP), row("risk", State.BACKOFF, 2), row("prepare", State.DONE)
    )
    lines = shown(exporter)
    assert 'outcry_stack_component_up{component="kafka"} 1.0' in lines
    assert 'outcry_stack_component_up{component="risk"} 0.0' in lines
    assert 'outcry_stack_component_restarts_total{component="risk"} 2.0' in lines
    assert 'outcry_stack_component_memory_bytes{component="kafka"} 3.145728e+06' in lines
    assert not any("prepare" in line for line in lines)
    assert "outcry_ready 1.0" in lines, "what reads the file is no room that waits"


def test_restarts_go_on_rising_over_supervisors(tmp_path: Path) -> None:
    exporter = StackExporter(tmp_path, memory=lambda _: None)
    for restarts in (2, 3, 1):
        publish(tmp_path, row("risk", State.UP, restarts))
        lines = shown(exporter)
    assert 'outcry_stack_component_restarts_total{component="risk"} 4.0' in lines


def test_without_a_supervisor_all_that_ran_is_down(tmp_path: Path) -> None:
    exporter = StackExporter(tmp_path, memory=lambda _: 3)
    publish(tmp_path, row("risk", State.UP))
    shown(exporter)
    (run_directory(tmp_path) / "status.json").unlink()
    lines = shown(exporter)
    assert 'outcry_stack_component_up{component="risk"} 0.0' in lines
    assert 'outcry_stack_component_memory_bytes{component="risk"} 0.0' in lines
