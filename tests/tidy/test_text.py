from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest

from tests.tidy import text_lints
from tests.tidy.tree import Source, sources, sources_with

type Lint = Callable[[Source], Iterator[str]]

TEXT_LINTS: list[Lint] = [text_lints.unfinished_work, text_lints.one_machine_only]
PAGE_LINTS: list[Lint] = [
    text_lints.titles,
    text_lints.broken_links,
    text_lints.missing_paths,
    text_lints.unknown_commands,
]
# Each rule with a text that breaks it; forbidden words in halves, to pass them itself.
PLANTED: list[tuple[Lint, str]] = [
    (text_lints.unfinished_work, "x = 1  # TO" + "DO: later"),
    (text_lints.unfinished_work, "// FIX" + "ME"),
    (text_lints.one_machine_only, "open('/ro" + "ot/data')"),
    (text_lints.one_machine_only, "cd /wo" + "rk/main"),
    (text_lints.one_machine_only, "cd /home/jo" + "/outcry"),
    (text_lints.one_machine_only, "https://pypi.o" + "rg/simple"),
    (text_lints.one_machine_only, "pip install --index-u" + "rl http://x"),
    (text_lints.titles, "no title at all\n"),
    (text_lints.titles, "# One\n\n# Two\n"),
    (text_lints.titles, "# One\n\n### Three\n"),
    (text_lints.broken_links, "# One\n\n[there](nowhere.md)\n"),
    (text_lints.broken_links, "# One\n\n![there](docs/nowhere.png)\n"),
    (text_lints.broken_links, "# One\n\n[there](#two)\n"),
    (text_lints.broken_links, "# One\n\n[there](tests/README.md#no-such-heading)\n"),
    (text_lints.missing_paths, "# One\n\nIt is in `services/nowhere/core.py`.\n"),
    (text_lints.missing_paths, "# One\n\nRun `pytest -q tests/nowhere`.\n"),
    (text_lints.unknown_commands, "# One\n\nRun `make coffee`.\n"),
]

KEPT = """# One title

Run `make test`, see [the tests](tests/README.md), [below](#the-two-commands) or
[the project](https://example.org/outcry); `services/cli.py` and `tests/tidy/` are there, and
`services/<room>/core.py` is a form.

## The `two` commands

```sh
# a comment in code is no title
make setup
[no](link.md)
```

### More
"""


@pytest.mark.parametrize("lint", TEXT_LINTS)
def test_text_files_are_finished_and_hold_on_any_machine(lint: Lint) -> None:
    findings = [found for source in sources() for found in lint(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("lint", PAGE_LINTS)
def test_pages_have_one_title_and_lead_where_they_say(lint: Lint) -> None:
    findings = [found for source in sources_with(".md") for found in lint(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("lint,text", PLANTED)
def test_a_planted_break_of_a_text_rule_is_found(lint: Lint, text: str) -> None:
    assert list(lint(Source(PurePosixPath("page.md"), text)))


@pytest.mark.parametrize("lint", TEXT_LINTS + PAGE_LINTS)
def test_a_page_that_keeps_the_text_rules_has_no_finding(lint: Lint) -> None:
    assert not list(lint(Source(PurePosixPath("page.md"), KEPT)))
