"""A room's sign (the docstring of its package) held against the table of topics.

`Reads:` and `Writes:` list topics, separated by commas. What is no topic (a table, a socket) may
stand in the list too, in words of its own: "PostgreSQL", "the WebSocket".
"""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

from services.wire.diagram import OUTSIDE
from services.wire.topics import BY_NAME, TOPICS, Topic
from tests.tidy.tree import Source

LABELS: Final = ("Reads", "Writes", "Owns", "Never")
_LABEL: Final = re.compile(r"^(?P<label>[A-Z][a-z]+): *(?P<text>.*)$")
_TOPIC_LIKE: Final = re.compile(r"[a-z]+(\.[a-z]+)?")
_NOTHING: Final = "nothing"


def rooms_of(topics: Sequence[Topic]) -> tuple[str, ...]:
    """Every writer and reader in the table that is a room."""
    parties = {party for topic in topics for party in (*topic.writers, *topic.readers)}
    return tuple(sorted(parties - set(OUTSIDE)))


def read_sign(docstring: str) -> dict[str, str]:
    """The sign's lines by label; a line that begins with a space goes on with the one before."""
    lines: dict[str, str] = {}
    label = ""
    for line in docstring.splitlines():
        if found := _LABEL.match(line):
            label = found["label"]
            lines[label] = found["text"]
        elif label and line.startswith(" "):
            lines[label] += f" {line.strip()}"
        else:
            label = ""
    return lines


def crooked_signs(source: Source, topics: Sequence[Topic] = TOPICS) -> Iterator[str]:
    """What a room's sign says it reads and writes is what the table of topics says."""
    parts = source.path.parts
    rooms = rooms_of(topics)
    if len(parts) != 3 or parts[0] != "services" or parts[2] != "__init__.py":
        return
    room = parts[1]
    if room not in rooms:
        return
    sign = read_sign(ast.get_docstring(ast.parse(source.text)) or "")
    for label in LABELS:
        if not sign.get(label):
            yield source.at(1, f"the sign of {room} has no line '{label}:'")
    reads = {topic.name for topic in topics if room in topic.readers}
    writes = {topic.name for topic in topics if room in topic.writers}
    yield from _differences(source, "Reads", sign.get("Reads", ""), reads)
    yield from _differences(source, "Writes", sign.get("Writes", ""), writes)


def _differences(source: Source, label: str, text: str, table: set[str]) -> Iterator[str]:
    items = {item.strip() for item in text.split(",")} - {"", _NOTHING}
    for item in sorted(items - set(BY_NAME)):
        if _TOPIC_LIKE.fullmatch(item):
            yield source.at(1, f"{label}: no topic is named {item}")
    said = items & set(BY_NAME)
    for name in sorted(said - table):
        yield source.at(1, f"{label}: {name}, which the table of topics does not say")
    for name in sorted(table - said):
        yield source.at(1, f"{label}: the table of topics says {name} too")
