"""The command line answers at once: what is heavy is imported by the command that needs it."""

import subprocess
import sys

import pytest

HEAVY = (
    "aiokafka",
    "asyncio",
    "confluent_kafka",
    "duckdb",
    "evidently",
    "fastapi",
    "fastavro",
    "faust",
    "feast",
    "httpx",
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
    "polars",
    "prometheus_client",
    "psutil",
    "psycopg",
    "pyarrow",
    "pydantic_settings",
    "rich",
    "sklearn",
    "sqlalchemy",
    "structlog",
    "uvicorn",
    "xgboost",
)


def heavy_imports(statement: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after this statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    return sorted(set(HEAVY) & set(loaded))


def test_the_command_line_loads_nothing_heavy_before_a_command_needs_it() -> None:
    assert heavy_imports("import services.cli") == []


def test_a_planted_heavy_import_is_found() -> None:
    assert "psycopg" in heavy_imports("import services.recorder.migrations")


def outcry(*arguments: str, interpreter: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *interpreter, "-m", "services.cli", *arguments],
        check=False, capture_output=True, text=True,
    )  # fmt: skip


def test_every_command_says_what_it_does() -> None:
    answer = outcry("--help")
    assert answer.returncode == 0
    commands = ("up", "demo", "order", "accounts", "halt", "dlq", "reconcile", "simulate")
    for command in (*commands, "history", "models", "snapshots"):
        assert command in answer.stdout


def test_a_run_without_assertions_is_refused() -> None:
    answer = outcry("--help", interpreter=("-O",))
    assert answer.returncode == 1
    assert "run Python without -O" in answer.stderr


@pytest.mark.parametrize(
    "arguments,cause,next_step",
    [
        (("halt", "AAPL"), "Kafka does not answer", "`outcry up`"),
        (("accounts", "list"), "PostgreSQL does not answer", "OUTCRY_PG_DSN"),
        (("dlq",), "Kafka does not answer at 127.0.0.1:1116", "OUTCRY_PORT_BASE"),
        (("topics", "create"), "Kafka does not answer", "`outcry up`"),
        (("reconcile",), "Kafka does not answer", "`outcry up`"),
        (("snapshots", "list"), "PostgreSQL does not answer", "`outcry up`"),
        (("snapshots", "verify"), "PostgreSQL does not answer", "`outcry up`"),
        (("snapshots", "take"), "PostgreSQL does not answer", "`outcry up`"),
        (("snapshots", "take", "--room", "ingest"), "no room ingest keeps snapshots", "matcher"),
    ],
)  # fmt: skip
def test_without_a_stack_one_line_names_the_cause_and_the_next_step(
    arguments: tuple[str, ...], cause: str, next_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_PORT_BASE", "1024")
    answer = outcry(*arguments)
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: ")
    assert cause in answer.stderr
    assert next_step in answer.stderr
    assert answer.stderr.count("\n") == 1
