"""Each command and program that a page shows in a block is run by a test, or listed with a reason.

Run means: a test asks `tests.support.page_examples.example` for it, by literals that stand in the
test, and so has all of that block that `UNRUN` doesn't list.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping

from tests.support.page_examples import UNRUN, Block, blocks_of, commands_of, head_of, left_to_run
from tests.tidy.tree import Source, sources_with

type Asked = tuple[str, str, str]

PAGE = """# Top

```sh
one   # a remark
two \\
  --more
for each in a b; do
  three
done
```

## Below

   ```python
   print("# no heading")
   ```
"""


def asked_in(source: Source) -> Iterator[Asked]:
    """The page, heading and language of each call of `example`."""
    for node in ast.walk(ast.parse(source.text)):
        match node:
            case ast.Call(
                func=ast.Name(id="example"),
                args=[
                    ast.Constant(value=str(page)),
                    ast.Constant(value=str(heading)),
                    ast.Constant(value=str(language)),
                ],
            ):
                yield page, heading, language
            case _:
                pass


def unrun_blocks(
    pages: Iterable[Source], asked: set[Asked], listed: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Blocks of which something is neither run nor listed, and what is listed for nothing."""
    for page in pages:
        unused = dict(listed.get(str(page.path), {}))
        for block in blocks_of(page.text):
            unused = {head: why for head, why in unused.items() if head not in heads_of(block)}
            is_asked = (str(page.path), block.heading, block.language) in asked
            if not is_asked and left_to_run(block, listed.get(str(page.path), {})):
                yield page.at(block.line, "no test runs this, and UNRUN has no reason")
        yield from (f"{page.path}: UNRUN lists {head}, which no block has" for head in unused)


def heads_of(block: Block) -> set[str]:
    return {head_of(command) for command in commands_of(block.code)}


def test_every_block_of_commands_or_python_is_run_or_has_a_reason() -> None:
    tests = [source for source in sources_with(".py") if source.path.name.startswith("test_")]
    asked = {one for source in tests for one in asked_in(source)}
    assert len(asked) > 20
    findings = list(unrun_blocks(sources_with(".md"), asked, UNRUN))
    assert not findings, "\n" + "\n".join(findings)


def test_a_block_that_nobody_runs_and_a_reason_for_nothing_are_found() -> None:
    page = Source(sources_with(".md")[0].path, PAGE)
    path = str(page.path)
    both: set[Asked] = {(path, "Top", "sh"), (path, "Below", "python")}
    assert list(unrun_blocks([page], both, {})) == []
    assert len(list(unrun_blocks([page], set(), {}))) == 2
    (found,) = unrun_blocks([page], both - {(path, "Top", "sh")}, {path: {"one": "why"}})
    assert found.startswith(f"{path}:3: ")
    heads = dict.fromkeys(("one", "two \\", "for each in a b; do"), "why")
    assert list(unrun_blocks([page], both - {(path, "Top", "sh")}, {path: heads})) == []
    (found,) = unrun_blocks([page], both, {path: {"four": "why"}})
    assert "lists four" in found


def test_commands_are_whole_and_python_has_no_indent() -> None:
    first, second = blocks_of(PAGE)
    assert [len(command.splitlines()) for command in commands_of(first.code)] == [1, 2, 3]
    assert second == Block("Below", "python", 14, 'print("# no heading")\n')


def test_only_literal_calls_are_what_tests_ask_for() -> None:
    code = 'example("a.md", "Top", "sh")\nexample(page, "Top", "sh")\nother("a.md", "b", "sh")\n'
    assert list(asked_in(Source(sources_with(".py")[0].path, code))) == [("a.md", "Top", "sh")]
