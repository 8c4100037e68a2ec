"""What `outcry order place` says of arguments that can't be meant, before anything is sent."""

import pytest
from typer.testing import CliRunner

from services.cli import app

_RUNNER = CliRunner(env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
_PLACE = ("order", "place", "--account", "alice")


@pytest.mark.parametrize(
    "arguments,said",
    [
        (("AAPL", "BUY", "-5", "187.25"), "Invalid value for 'QUANTITY': -5 shares are less"),
        (("AAPL", "BUY", "5", "-187.25"), "Invalid value for 'PRICE': '-187.25' is not a positive"),
        (("AAPL", "BUYY", "5", "187.25"), "'BUYY' is none of BUY, SELL"),
    ],
)
def test_a_value_that_no_order_has_is_refused_as_a_value(
    arguments: tuple[str, ...], said: str
) -> None:
    answer = _RUNNER.invoke(app, [*_PLACE, *arguments])
    assert answer.exit_code == 2
    assert said in answer.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("order", "place", "--account", "al ice", "AAPL", "BUY", "5", "187.25"),
        ("kill", "al ice"),
        ("keys", "create", "--account", "al ice", "--scope", "read"),
    ],
)
def test_a_name_that_no_account_has_is_refused_and_the_rule_told(arguments: list[str]) -> None:
    answer = _RUNNER.invoke(app, arguments)
    assert answer.exit_code == 2
    assert "1 to 64 printable ASCII characters without spaces, 'al ice' has not" in answer.stderr


@pytest.mark.parametrize("stranger", ["--bogus", "-x", "--acount=alice"])
def test_an_option_that_does_not_exist_is_still_named_beside_a_negative_number(
    stranger: str,
) -> None:
    answer = _RUNNER.invoke(app, [*_PLACE, stranger, "AAPL", "BUY", "-5"])
    assert answer.exit_code == 2
    assert f"No such option: {stranger.partition('=')[0]}" in answer.stderr


def test_help_says_in_what_a_price_and_a_quantity_are_meant() -> None:
    answer = _RUNNER.invoke(app, ["order", "place", "--help"])
    assert "<Dollars>" in answer.stdout
    assert "<Shares>" in answer.stdout
    assert "<int>" not in answer.stdout
