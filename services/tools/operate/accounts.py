"""`outcry accounts open | deposit | list`, `limits set`, `kill`: who may trade, and how much."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.tools.operate import options
from services.tools.operate.numbers_command import NumbersCommand
from services.tools.operate.options import Account, AsJson, CommandId, TimeoutS

if TYPE_CHECKING:
    from services.tools.operate.ask import Question

accounts = typer.Typer(help="Accounts: open them, list them, give them shares.")
limits = typer.Typer(help="What an account may hold at worst.")

_UNCHANGED = "Left as it is if not given."


@accounts.command("open")
def open_account(
    account: Account,
    position_max: Annotated[int, options.shares("--position-max", "Most shares in one ticker.")],
    notional_max: Annotated[int, options.dollars("--notional-max", "Most money in one ticker.")],
    exposure_max: Annotated[int, options.dollars("--exposure-max", "Most money over all tickers.")],
    *,
    short: Annotated[bool, typer.Option("--short/--no-short", help="May sell short.")] = False,
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Open an account; its limits count every resting order at its worst."""
    from services.domain.controls import OpenAccount
    from services.tools.operate.ask import make_command_id
    from services.tools.operate.questions import account_question

    control = OpenAccount(
        client_command_id=client_command_id or make_command_id(),
        account=account,
        position_max=position_max,
        notional_max=notional_max,
        exposure_max=exposure_max,
        short_allowed=short,
    )
    _settle(account_question(control), timeout_s, as_json=as_json)


@accounts.command(cls=NumbersCommand)
def deposit(
    account: Account,
    ticker: options.Ticker,
    quantity: options.Quantity,
    *,
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Add shares to an account's opening position; a negative QUANTITY takes away."""
    from services.domain.controls import Deposit
    from services.tools.operate.ask import make_command_id
    from services.tools.operate.questions import account_question

    command_id = client_command_id or make_command_id()
    control = Deposit(command_id, account, ticker, int(quantity))
    _settle(account_question(control), timeout_s, as_json=as_json)


@accounts.command("list")
def list_accounts(*, as_json: AsJson = False) -> None:
    """List accounts with the limits and positions of their last change, as recorded."""
    from services.tools.operate.connect import open_database, read_deployment
    from services.tools.operate.ledger import latest_account_states
    from services.tools.operate.present import print_account_states, print_json
    from services.tools.operate.spelling import spell

    deployment = read_deployment()
    with open_database(deployment) as database:
        states = latest_account_states(database, deployment.name)
    if as_json:
        print_json(spell(states))
    elif states:
        print_account_states(states)
    else:
        typer.echo("no accounts are recorded; open one with `outcry accounts open`")


@limits.command("set")
def set_limits(  # noqa: PLR0913 - a command's options
    account: Account,
    *,
    ticker: Annotated[
        str, typer.Option(help="Position and notional of this ticker alone; else of every ticker.")
    ] = "",
    position_max: Annotated[int | None, options.shares("--position-max", _UNCHANGED)] = None,
    notional_max: Annotated[int | None, options.dollars("--notional-max", _UNCHANGED)] = None,
    exposure_max: Annotated[int | None, options.dollars("--exposure-max", _UNCHANGED)] = None,
    short: Annotated[bool | None, typer.Option("--short/--no-short", help=_UNCHANGED)] = None,
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Change limits. Above a lowered cap, only orders that raise nothing pass."""
    from services.domain.controls import UNCHANGED, SetLimits
    from services.tools.operate.ask import make_command_id
    from services.tools.operate.questions import account_question

    control = SetLimits(
        client_command_id=client_command_id or make_command_id(),
        account=account,
        ticker=ticker,
        position_max=UNCHANGED if position_max is None else position_max,
        notional_max=UNCHANGED if notional_max is None else notional_max,
        exposure_max=UNCHANGED if exposure_max is None else exposure_max,
        short_allowed=UNCHANGED if short is None else int(short),
    )
    _settle(account_question(control), timeout_s, as_json=as_json)


def kill(
    account: Account,
    *,
    lift: Annotated[bool, typer.Option("--lift", help="Let the account trade again.")] = False,
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Cancel all orders of an account and refuse new ones, until it is lifted."""
    from services.domain.controls import KillSwitch
    from services.tools.operate.ask import make_command_id
    from services.tools.operate.questions import account_question

    control = KillSwitch(client_command_id or make_command_id(), account, engaged=not lift)
    _settle(account_question(control), timeout_s, as_json=as_json)


def _settle(question: "Question", timeout_s: float, *, as_json: bool) -> None:
    from services.tools.operate.connect import open_exchange, read_deployment
    from services.tools.operate.settle import settle

    with open_exchange(read_deployment()) as exchange:
        settle(exchange, question, timeout_s, as_json=as_json)
