"""`outcry order place | cancel | show`: trade from a terminal.

At the log itself, as who runs the exchange can; with `--gateway` through a gateway, as anybody who
has a key.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from services.domain import codes
from services.tools.operate import options
from services.tools.operate.numbers_command import NumbersCommand
from services.tools.operate.options import AsJson, CommandId, TimeoutS

if TYPE_CHECKING:
    from services.domain.commands import PlaceOrder
    from services.tools.operate.connect import Deployment
    from services.tools.operate.journey import Hop
    from services.tools.operate.ledger import OrderLife

order = typer.Typer(help="Orders: place one, cancel it, see all that happened to it.")

_AccountOption = Annotated[
    str,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        parser=options.parser(options.read_account),
        help="Whose order it is; of a gateway's caller the key says it.",
        show_default=False,
    ),
]
_Gateway = Annotated[
    str,
    typer.Option(
        "--gateway",
        metavar="URL",
        help="Ask this gateway instead of the log, with the key of OUTCRY_KEY (or, signed, of"
        " OUTCRY_KEY_ID and OUTCRY_SIGNING_SECRET).",
        show_default=False,
    ),
]
_LimitPrice = Annotated[
    options.Dollars | None,
    typer.Argument(
        metavar="PRICE",
        parser=options.parser(options.as_dollars),
        help="The limit, for example 187.25; without one it is a market order.",
        show_default=False,
    ),
]
_TimeInForce = Annotated[
    int | None,
    typer.Option(
        "--time-in-force",
        metavar="GTC|IOC|FOK",
        parser=options.parser(options.read_time_in_force),
        help="Default: GTC with a price, IOC without.",
    ),
]
_SelfTradePrevention = Annotated[
    int | None,
    typer.Option(
        "--self-trade-prevention",
        metavar="CANCEL_RESTING|CANCEL_INCOMING|NONE",
        parser=options.parser(options.read_self_trade_prevention),
        help="What happens when it meets an order of the same account.",
    ),
]


@order.command(cls=NumbersCommand)
def place(  # noqa: PLR0913 - a command's options
    ticker: options.Ticker,
    side: options.OrderSide,
    quantity: options.OrderQuantity,
    price: _LimitPrice = None,
    *,
    account: _AccountOption = "",
    gateway: _Gateway = "",
    time_in_force: _TimeInForce = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Never take, only rest.")] = False,
    self_trade_prevention: _SelfTradePrevention = None,
    client_order_id: Annotated[
        str, typer.Option(help="Names this order; the same one again places nothing.")
    ] = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Place an order and print what became of it at once."""
    from services.domain.commands import PlaceOrder
    from services.tools.operate.ask import make_command_id

    if time_in_force is None:
        time_in_force = codes.GTC if price else codes.IOC
    if self_trade_prevention is None:
        self_trade_prevention = codes.CANCEL_RESTING
    command = PlaceOrder(
        account=account,
        client_order_id=client_order_id or make_command_id(),
        ticker=ticker,
        side=int(side),
        order_type=codes.LIMIT if price else codes.MARKET,
        time_in_force=time_in_force,
        post_only=post_only,
        price=int(price or 0),
        quantity=int(quantity),
        self_trade_prevention=self_trade_prevention,
    )
    if gateway:
        _place_at(gateway, command, timeout_s, as_json=as_json)
    else:
        _place_in_log(command, timeout_s, as_json=as_json)


def _place_at(gateway: str, command: "PlaceOrder", timeout_s: float, *, as_json: bool) -> None:
    from services.tools.operate import over_http

    with over_http.at_gateway(gateway, command.account, timeout_s) as client:
        over_http.place(client, over_http.new_order(command), as_json=as_json)


def _place_in_log(command: "PlaceOrder", timeout_s: float, *, as_json: bool) -> None:
    from services.tools.operate.connect import open_exchange, open_log, read_deployment
    from services.tools.operate.genesis import partition_of, require_genesis
    from services.tools.operate.questions import place_question
    from services.tools.operate.settle import settle

    _require_account(command.account)
    deployment = read_deployment()
    with open_exchange(deployment) as exchange, open_log(deployment) as log:
        partition = partition_of(require_genesis(log, exchange.codec), command.ticker)
        settle(exchange, place_question(command, partition), timeout_s, as_json=as_json)


@order.command()
def cancel(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID")],
    *,
    account: _AccountOption = "",
    gateway: _Gateway = "",
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Cancel what remains of an order."""
    from services.tools.operate.ask import make_command_id

    command_id = client_command_id or make_command_id()
    if gateway:
        from services.tools.operate import over_http

        with over_http.at_gateway(gateway, account, timeout_s) as client:
            over_http.cancel(client, order_id, command_id, as_json=as_json)
        return
    from services.domain.commands import CancelOrder
    from services.domain.ids import ticker_of
    from services.tools.operate.connect import open_exchange, open_log, read_deployment
    from services.tools.operate.genesis import partition_of, require_genesis
    from services.tools.operate.questions import cancel_question
    from services.tools.operate.settle import settle

    _require_account(account)
    command = CancelOrder(account, command_id, order_id)
    deployment = read_deployment()
    with open_exchange(deployment) as exchange, open_log(deployment) as log:
        genesis = require_genesis(log, exchange.codec)
        partition = partition_of(genesis, ticker_of(order_id))
        settle(exchange, cancel_question(command, partition), timeout_s, as_json=as_json)


@order.command()
def show(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID")],
    *,
    account: _AccountOption = "",
    gateway: _Gateway = "",
    as_json: AsJson = False,
) -> None:
    """Show an order's submission, reports and trades, and its way through the log with times.

    A gateway tells its present state alone.
    """
    if gateway:
        from services.tools.operate import over_http

        with over_http.at_gateway(gateway, account, options.TIMEOUT_S) as client:
            over_http.show(client, order_id, as_json=as_json)
        return
    from services.tools.operate.connect import open_database, read_deployment
    from services.tools.operate.ledger import read_order
    from services.tools.operate.present import print_hops, print_json, print_order

    deployment = read_deployment()
    with open_database(deployment) as database:
        life = read_order(database, deployment.name, order_id)
    hops = _read_hops(deployment, life)
    if as_json:
        from services.tools.operate.spelling import spell

        print_json(spell(life) | {"hops": spell(hops)})
    else:
        print_order(life)
        print_hops(hops)


def _require_account(account: str) -> None:
    """Of who writes to the log itself nobody else says whose order it is."""
    if not account:
        raise typer.BadParameter("say whose order it is", param_hint="--account")


def _read_hops(deployment: "Deployment", life: "OrderLife") -> "list[Hop]":
    """The order's way; without Kafka or the registry none, which is said and no error."""
    import sys

    from services.runtime.errors import RetriableError
    from services.tools.operate.connect import load_codec, open_log
    from services.tools.operate.errors import UnreachableError
    from services.tools.operate.journey import ends_of, trace

    ends = ends_of([*life.submissions, *life.requests], life.executions, life.trades)
    try:
        with open_log(deployment) as log:
            return trace(log, load_codec(deployment), ends)
    except (UnreachableError, RetriableError) as error:
        sys.stderr.write(f"warning: without its way through the log: {error}\n")
        return []
