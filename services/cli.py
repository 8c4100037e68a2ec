"""`outcry`: the command line. Each tool adds its own commands; this file only gathers them.

Nothing heavy is imported here or at the top of what is imported here, so that `outcry --help`
answers at once; tests/tidy holds that.
"""

import sys
from typing import Final

import typer

from services.runtime.errors import ConfigurationError, OperatingError, RetriableError
from services.tools.bench import commands as bench
from services.tools.demo import commands as demo
from services.tools.drift import commands as drift
from services.tools.features import commands as features
from services.tools.history import commands as history
from services.tools.learning import commands as learning
from services.tools.learning import models_commands as models
from services.tools.learning import train_commands as training
from services.tools.ledger import commands as ledger
from services.tools.market import commands as market
from services.tools.observe import commands as observe
from services.tools.operate import commands as operate
from services.tools.operate.errors import (
    NoAnswerError,
    OperateError,
    UnknownError,
    UnreachableError,
)
from services.tools.pipeline import commands as pipeline
from services.tools.proof import commands as proof
from services.tools.soak import commands as soak
from services.tools.stack import commands as stack
from services.tools.stack.errors import StackError

EXPECTED: Final = (OperateError, OperatingError, StackError)
"""Errors whose message is one line for people: the cause and the next step."""

_OF_A_START: Final = (
    ConfigurationError, NoAnswerError, RetriableError, UnknownError, UnreachableError,
)  # fmt: skip
"""Those that a stack on its way up causes too: topics are missing, a room is silent."""

_EXTRAS: Final = {
    "aiokafka": "features",
    "duckdb": "tools",
    "evidently": "drift",
    "faust": "features",
    "feast": "online",
    "httpx": "stack",
    "matplotlib": "trainer",
    "mlflow": "models",
    "numpy": "tools",
    "psutil": "tools",
    "psycopg": "tools",
    "pyarrow": "tools",
    "sklearn": "trainer",
    "sqlalchemy": "models",
    "threadpoolctl": "trainer",
    "websockets": "tools",
    "xgboost": "models",
}
"""Which part of the product brings a library that a room alone does not need."""

app = typer.Typer(
    name="outcry",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def outcry() -> None:
    """An exchange on one Kafka log. Start it with `outcry up`; `outcry demo` shows all of it."""


for tool in (
    stack, demo, operate, market, history, features, learning, training, models, pipeline,
    drift, proof, soak, ledger, observe, bench,
):  # fmt: skip
    tool.register(app)


def main() -> None:
    """Run the command line; errors that people can act on are one line, exit code 1."""
    if not __debug__:
        sys.exit("error: assertions guard the exchange's invariants: run Python without -O")
    try:
        app()
    except EXPECTED as error:
        sys.exit(f"error: {_in_its_place(error)}")
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        sys.exit(f"error: {error.name} is not installed: pip install 'outcry[{extra}]'")


def _in_its_place(error: Exception) -> str:
    """The error, and before it that the stack still starts, if that may be all there is to it."""
    from services.tools.stack.starting import home_that_starts

    home = home_that_starts() if isinstance(error, _OF_A_START) else None
    if home is None:
        return str(error)
    return (
        f"the stack in {home} is still starting: wait until `outcry status` shows all of it up, "
        f"then ask again ({error})"
    )


if __name__ == "__main__":
    main()
