"""What pages and programs tell people to type is what the command line and the gateway take."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest

from tests.tidy.command_lints import unknown_paths, wrong_advice, wrong_commands
from tests.tidy.tree import Source, sources_with

type Lint = Callable[[Source], Iterator[str]]

PLANTED_PAGES: list[tuple[Lint, str]] = [
    (wrong_commands, "Run `outcry nosuch`."),
    (wrong_commands, "Run `outcry up --nosuch`."),
    (wrong_commands, "Run `outcry ledger drop DAY --form DIR`."),
    (wrong_commands, "Run `outcry simulate --seed seven`."),
    (wrong_commands, "Run `outcry order place | nosuch`."),
    (wrong_commands, "Run `outcry up\n--nosuch`."),
    (wrong_commands, "```sh\noutcry order place AAPL BUY\n```"),
    (wrong_commands, "```sh\nOUTCRY_HOME=x .venv/bin/outcry up --nosuch   # a remark\n```"),
    (wrong_commands, "```sh\necho x | outcry dlq --nosuch\n```"),
    (wrong_commands, "```sh\noutcry accounts open alice \\\n  --nosuch 1\n```"),
    (wrong_commands, "```sh\ndocker compose run --rm tools accounts nosuch\n```"),
    (unknown_paths, "```sh\ncurl -s http://127.0.0.1:19080/nosuch\n```"),
    (unknown_paths, "```sh\ncurl -s 'http://127.0.0.1:19080/orders/a/nosuch?x=1'\n```"),
]
PLANTED_CODE = (
    'raise ValueError("start it with `outcry nosuch`")',
    'raise ValueError(f"take one: `outcry models promote {number} --nosuch`")',
    '"""`outcry topics create | nosuch`."""',
    'raise ValueError("run `outcry up "\n    "--nosuch`")',
)
KEPT_PAGE = """# One title

`outcry ledger archive DAY --to DIR`, `outcry models show N`, `outcry order show`,
`outcry bench ...` and `outcry up | down`;
`outcry kafka console-consumer --topic trades --whatever` is Kafka's.

```sh
outcry accounts open alice --position-max 10000 \\
  --notional-max 1000000 --exposure-max 2000000   # one command
curl -s 'http://127.0.0.1:19080/book/AAPL?depth=5'
```

```text
outcry is no command here
```
"""


def test_commands_that_pages_name_are_taken_with_every_option() -> None:
    findings = [found for page in sources_with(".md") for found in wrong_commands(page)]
    assert not findings, "\n" + "\n".join(findings)


def test_commands_that_programs_advise_are_taken_with_every_option() -> None:
    code = [source for source in sources_with(".py") if source.path.parts[0] == "services"]
    findings = [found for source in code for found in wrong_advice(source)]
    assert not findings, "\n" + "\n".join(findings)


def test_addresses_that_pages_have_people_ask_are_the_gateways() -> None:
    findings = [found for page in sources_with(".md") for found in unknown_paths(page)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("lint,text", PLANTED_PAGES)
def test_a_planted_wrong_command_of_a_page_is_found(lint: Lint, text: str) -> None:
    assert list(lint(Source(PurePosixPath("page.md"), f"# One\n\n{text}\n")))


@pytest.mark.parametrize("text", PLANTED_CODE)
def test_a_planted_wrong_advice_is_found(text: str) -> None:
    assert list(wrong_advice(Source(PurePosixPath("services/program.py"), f"{text}\n")))


@pytest.mark.parametrize("lint", [wrong_commands, unknown_paths])
def test_a_page_whose_commands_are_right_has_no_finding(lint: Lint) -> None:
    assert not list(lint(Source(PurePosixPath("page.md"), KEPT_PAGE)))
