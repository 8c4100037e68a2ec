"""A command whose arguments may be numbers below zero."""

import re
from typing import TYPE_CHECKING, Final

from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click.core import Context

_NEGATIVE: Final = re.compile(r"-\.?[0-9].*")


class NumbersCommand(TyperCommand):
    """Takes `-5` as an argument, so that who reads the argument can say what is wrong with it.

    Without it `-5` would be an option that does not exist.
    """

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Let unknown options pass as arguments only if all of them are numbers."""
        named = {
            name
            for parameter in self.get_params(ctx)
            for name in (*parameter.opts, *parameter.secondary_opts)
        }
        strange = [
            argument
            for argument in args
            if argument.startswith("-") and argument.partition("=")[0] not in named
        ]
        ctx.ignore_unknown_options = all(_NEGATIVE.fullmatch(argument) for argument in strange)
        return super().parse_args(ctx, args)
