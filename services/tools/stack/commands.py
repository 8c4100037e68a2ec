"""`outcry up | down | status | doctor | kafka`: the stack as people use it.

Heavy imports are inside the functions: `outcry --help` answers at once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.tools.stack.display import Display
    from services.tools.stack.settings import StackSettings
    from services.tools.stack.stack import Stack

_AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def register(app: typer.Typer) -> None:
    """Add the stack's commands to the command line."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(doctor)
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )(kafka)


def up(
    *,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once everything is ready.")
    ] = False,
    rooms: Annotated[
        str, typer.Option(help="Which rooms, separated by commas; `none`: infrastructure alone.")
    ] = "all",
    standby: Annotated[
        bool,
        typer.Option(
            "--standby",
            help="Run risk and matcher twice, to take over in under a second [OUTCRY_STANDBY].",
        ),
    ] = False,
    gateways: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=8,
            help="Processes of the gateway, on one port [OUTCRY_GATEWAYS, else 1].",
            show_default=False,
        ),
    ] = None,
    fetch_only: Annotated[
        bool, typer.Option("--fetch-only", help="Download what is missing and start nothing.")
    ] = False,
) -> None:
    """Start Kafka, the schema registry, PostgreSQL and the rooms; Ctrl-C stops them all."""
    from services.tools.stack.display import Display
    from services.tools.stack.errors import AlreadyRunningError

    with _one_line_errors():
        settings = _settings()
        if standby:
            settings = settings.model_copy(update={"standby": True})
        if gateways is not None:
            settings = settings.model_copy(update={"gateways": gateways})
        stack = _stack(settings, rooms)
        display = Display()
        try:
            with display:
                if fetch_only:
                    stack.fetch(display.progress)
                    return
                display.line(f"Starting in {settings.home}, ports from {settings.port_base}")
                stack.start(detach=detach, watch=display.watch, report=display.progress)
        except AlreadyRunningError as running:
            display.line(str(running))
            found = stack.status()
            raise typer.Exit(0 if found is not None and found.is_up else 1) from None
        except KeyboardInterrupt:
            display.line("Stopped before it was up.")
            raise typer.Exit(130) from None
        display.addresses(stack.plan)
        if not detach:
            _hold(stack, display)


def down() -> None:
    """Stop the stack in order; its data stays. Nothing to do if nothing runs."""
    from services.tools.stack.display import Display
    from services.tools.stack.status import Phase

    with _one_line_errors():
        settings = _settings()
        display = Display()
        stack = _stack(settings, "none")
        found = stack.status()
        display.prime(found)
        if found is not None and found.phase is Phase.STOPPING:
            display.line("A stop goes on already; waiting for its end")
        if stack.stop(watch=display.watch):
            display.line(f"Stopped; the data stays in {settings.home}")
        else:
            display.line(f"Nothing runs in {settings.home}")


def status(*, as_json: _AS_JSON = False) -> None:
    """Show what runs; exit code 0 only if everything is up."""
    from services.tools.stack.display import print_json, status_rows, status_table

    with _one_line_errors():
        settings = _settings()
        found = _stack(settings, "none").status()
        if as_json:
            print_json(status_rows(settings.home, found))
        elif found is None:
            typer.echo(f"Nothing runs in {settings.home}; start it with `outcry up`")
        else:
            status_table(found)
        raise typer.Exit(0 if found is not None and found.is_up else 1)


def doctor(*, as_json: _AS_JSON = False) -> None:
    """Say what this machine lacks and how to get it; exit code 1 if it is required."""
    from services.tools.stack.display import doctor_table, print_json
    from services.tools.stack.doctor import examine

    with _one_line_errors():
        checks = examine(_settings())
        if as_json:
            print_json(checks)
        else:
            doctor_table(checks)
        raise typer.Exit(0 if all(check.ok or not check.required for check in checks) else 1)


def kafka(context: typer.Context, tool: Annotated[str, typer.Argument()] = "") -> None:
    """Run one of Kafka's own console tools on this stack's broker; without a name, list them."""
    from services.tools.stack.display import Display
    from services.tools.stack.fetch import KAFKA, fetch
    from services.tools.stack.kafka_tools import TOOLS, command_line, require_broker

    with _one_line_errors():
        if tool in ("", "--help"):
            typer.echo(f"outcry kafka TOOL [ARGUMENTS], with TOOL one of: {', '.join(TOOLS)}")
            return
        settings = _settings()
        with Display(to_stderr=True) as display:
            fetch(KAFKA, settings.components, display.progress)
        command = command_line(settings, tool, context.args)
        require_broker(settings, tool, context.args)
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606 - becomes the tool: its signals, its exit code


def _hold(stack: "Stack", display: "Display") -> None:
    """Show restarts until the stack ends or Ctrl-C ends it; a second Ctrl-C kills it."""
    try:
        stack.wait(display.watch)
        display.line("The stack was stopped.")
    except KeyboardInterrupt:
        display.line("Stopping; once more Ctrl-C kills")
        try:
            stack.stop(watch=display.watch)
        except KeyboardInterrupt:
            stack.stop(watch=display.watch, hurry=True)
        display.line("Stopped.")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Print what went wrong as one line, with the tail of a log where there is one; exit code 1."""
    from services.runtime.errors import OperatingError
    from services.tools.stack.errors import StackError, StartError

    try:
        yield
    except (StackError, OperatingError) as error:
        if isinstance(error, StartError) and error.log_tail:
            typer.echo(error.log_tail, err=True)
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _settings() -> "StackSettings":
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings)


def _stack(settings: "StackSettings", rooms: str) -> "Stack":
    from services.tools.stack.errors import StackError
    from services.tools.stack.plan import stack_plan
    from services.tools.stack.rooms import ROOM_NAMES
    from services.tools.stack.stack import Stack

    if rooms in ("all", "none"):
        chosen = ROOM_NAMES if rooms == "all" else ()
    else:
        chosen = tuple(name.strip() for name in rooms.split(","))
        if strangers := sorted(set(chosen) - set(ROOM_NAMES)):
            raise StackError(
                f"no room named {', '.join(strangers)}; there are: {', '.join(ROOM_NAMES)}"
            )
    return Stack(stack_plan(settings, chosen))
