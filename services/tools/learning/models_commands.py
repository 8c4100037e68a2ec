"""`outcry models`: what people type about registered models."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from services.models.registry import Registry

PANEL: Final = "Models"

Which = Annotated[
    str, typer.Argument(help="A version's number, or champion, challenger or shadow.")
]
HorizonS = Annotated[
    int, typer.Option("--horizon-s", min=1, help="Of the models' labels, seconds.")
]
Why = Annotated[str, typer.Option("--why", help="Recorded with the change.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
HORIZON_S: Final = 10

models_app = typer.Typer(
    no_args_is_help=True, help="Trained models: which there are, which serves."
)


def register(app: typer.Typer) -> None:
    """Add them."""
    app.add_typer(models_app, name="models", rich_help_panel=PANEL)


@models_app.command("list")
def list_models(*, horizon_s: HorizonS = HORIZON_S, as_json: AsJson = False) -> None:
    """Every version, the newest first: aliases, figures, and whether it beats its baselines."""
    from services.tools.learning.models_report import listed, print_listed
    from services.tools.operate.present import print_json

    with _registry(horizon_s) as registry:
        found = listed(registry)
    if as_json:
        print_json(found)
    else:
        print_listed(registry.name, found)


@models_app.command()
def show(which: Which, *, horizon_s: HorizonS = HORIZON_S, as_json: AsJson = False) -> None:
    """One version: its origin, figures beside the baselines, and what promotion would say."""
    from services.tools.learning.models_report import print_shown, shown
    from services.tools.operate.present import print_json

    with _registry(horizon_s) as registry:
        found = shown(registry, which)
    if as_json:
        print_json(found)
    else:
        print_shown(found)


@models_app.command()
def compare(
    one: Which, other: Which, *, horizon_s: HorizonS = HORIZON_S, as_json: AsJson = False
) -> None:
    """Two versions side by side, and which beats which by the rule of promotion."""
    from services.tools.learning.models_report import compared, print_compared
    from services.tools.operate.present import print_json

    with _registry(horizon_s) as registry:
        found = compared(registry, one, other)
    if as_json:
        print_json(found)
    else:
        print_compared(found)


@models_app.command()
def promote(
    which: Which,
    *,
    alias: Annotated[
        str, typer.Option("--alias", help="champion, challenger or shadow.")
    ] = "champion",
    force: Annotated[
        bool, typer.Option("--force", help="Though it beats no baseline, or not the champion.")
    ] = False,
    why: Why = "",
    horizon_s: HorizonS = HORIZON_S,
    as_json: AsJson = False,
) -> None:
    """Let a version serve, if every gate is open; exit code 1, and nothing changes, if not."""
    from services.tools.learning.models_report import print_change, resolve
    from services.tools.operate.present import print_json

    with _registry(horizon_s) as registry:
        version = resolve(registry, which)
        change = registry.promote(version, alias, force=force, why=why)
    if as_json:
        print_json({"changed": change is not None, "version": version, "change": change})
    else:
        print_change(change, f"{alias} is version {version} already")


@models_app.command()
def rollback(*, why: Why = "", horizon_s: HorizonS = HORIZON_S, as_json: AsJson = False) -> None:
    """Let the champion before the present one serve again."""
    from services.tools.learning.models_report import print_change
    from services.tools.operate.present import print_json

    with _registry(horizon_s) as registry:
        change = registry.rollback(why)
    if as_json:
        print_json({"changed": True, "version": change.version, "change": change})
    else:
        print_change(change)


@models_app.command()
def history(*, horizon_s: HorizonS = HORIZON_S, as_json: AsJson = False) -> None:
    """Every promotion and rollback, with its cause and what was passed by force."""
    from services.tools.learning.models_report import print_history
    from services.tools.operate.present import print_json

    with _registry(horizon_s) as registry:
        found = registry.history()
    if as_json:
        print_json(found)
    else:
        print_history(registry.name, found)


@contextmanager
def _registry(horizon_s: int) -> Iterator["Registry"]:
    """The deployment's, with a sign of life while MLflow is imported."""
    from rich.console import Console

    from services.models.classes import model_name
    from services.models.registry import Registry
    from services.models.settings import mlflow_url_of_environment
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    home = read_settings(StackSettings).home
    with Console(stderr=True).status("asking the registry"):
        yield Registry(home, mlflow_url_of_environment(), model_name(horizon_s))
