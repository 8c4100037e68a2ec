"""The commands of operators and traders, as they are added to the command line."""

import typer

from services.tools.operate.accounts import accounts, kill, limits
from services.tools.operate.keys import keys
from services.tools.operate.market import halt, mark, resume
from services.tools.operate.orders import order
from services.tools.operate.records import dlq
from services.tools.operate.topics import topics

TRADE = "Trade and operate"
LOOK = "Look inside"


def register(app: typer.Typer) -> None:
    """Add them."""
    app.add_typer(accounts, name="accounts", rich_help_panel=TRADE)
    app.add_typer(keys, name="keys", rich_help_panel=TRADE)
    app.add_typer(limits, name="limits", rich_help_panel=TRADE)
    app.add_typer(mark, name="mark", rich_help_panel=TRADE)
    app.add_typer(order, name="order", rich_help_panel=TRADE)
    app.command(rich_help_panel=TRADE)(halt)
    app.command(rich_help_panel=TRADE)(resume)
    app.command(rich_help_panel=TRADE)(kill)
    app.add_typer(topics, name="topics", rich_help_panel=LOOK)
    app.command(rich_help_panel=LOOK)(dlq)
