"""`outcry mark set`, `halt`, `resume`: what concerns a ticker."""

from typing import TYPE_CHECKING

import typer

from services.tools.operate import options
from services.tools.operate.numbers_command import NumbersCommand
from services.tools.operate.options import AsJson, CommandId, TimeoutS

if TYPE_CHECKING:
    from services.domain.controls import Halt, Resume

mark = typer.Typer(help="Marks: the price that limits and collars are measured by.")


@mark.command("set", cls=NumbersCommand)
def set_mark(
    ticker: options.Ticker,
    price: options.Price,
    *,
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """State a ticker's mark, which its orders need; the next trade replaces it."""
    from services.domain.amounts import PRICE_MAX, format_price
    from services.domain.controls import SetMark
    from services.tools.operate.ask import make_command_id
    from services.tools.operate.connect import open_exchange, open_log, read_deployment
    from services.tools.operate.genesis import require_genesis, require_instrument
    from services.tools.operate.questions import mark_question
    from services.tools.operate.settle import settle

    if price > PRICE_MAX:
        raise typer.BadParameter(f"no mark is above {format_price(PRICE_MAX)}")
    deployment = read_deployment()
    with open_exchange(deployment) as exchange, open_log(deployment) as log:
        require_instrument(require_genesis(log, exchange.codec), ticker)
        question = mark_question(
            SetMark(client_command_id or make_command_id(), ticker, int(price))
        )
        settle(exchange, question, timeout_s, as_json=as_json)


def halt(
    ticker: options.Ticker,
    *,
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Halt a ticker: its book takes cancels and refuses the rest."""
    from services.domain.controls import Halt
    from services.tools.operate.ask import make_command_id

    _change_status(Halt(client_command_id or make_command_id(), ticker), timeout_s, as_json=as_json)


def resume(
    ticker: options.Ticker,
    *,
    client_command_id: CommandId = "",
    timeout_s: TimeoutS = options.TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Open a halted ticker again."""
    from services.domain.controls import Resume
    from services.tools.operate.ask import make_command_id

    command_id = client_command_id or make_command_id()
    _change_status(Resume(command_id, ticker), timeout_s, as_json=as_json)


def _change_status(control: "Halt | Resume", timeout_s: float, *, as_json: bool) -> None:
    from services.tools.operate.connect import open_exchange, open_log, read_deployment
    from services.tools.operate.genesis import require_genesis, require_instrument
    from services.tools.operate.questions import halt_question, read_status
    from services.tools.operate.settle import settle

    deployment = read_deployment()
    with open_exchange(deployment) as exchange, open_log(deployment) as log:
        instrument = require_instrument(require_genesis(log, exchange.codec), control.ticker)
        status = read_status(log, exchange.codec, instrument.partition)
        question = halt_question(control, instrument.partition, status)
        settle(exchange, question, timeout_s, as_json=as_json)
