"""The flow between rooms, drawn from the table of topics as a Mermaid flowchart."""

from collections.abc import Iterable, Sequence
from typing import Final

from services.wire.topics import TOPICS, Topic

OUTSIDE: Final = ("clients", "operators", "people")
"""Writers and readers in the table that are no room of Outcry's."""

_STYLES: Final = (
    "classDef inbox fill:#dbeafe,stroke:#1d4ed8,color:#0f172a",
    "classDef feed fill:#dcfce7,stroke:#15803d,color:#0f172a",
    "classDef room fill:#f8fafc,stroke:#334155,stroke-width:2px,color:#0f172a",
    "classDef outside fill:#ffffff,stroke:#64748b,stroke-dasharray:4 3,color:#0f172a",
)


def draw_flow(topics: Sequence[Topic] = TOPICS) -> str:
    """Mermaid source: rooms are boxes, inboxes and feeds are pipes, people and clients rounded.

    Nodes come in the table's order, so that an unchanged table draws the same bytes.
    """
    parties = list(
        dict.fromkeys(party for topic in topics for party in (*topic.writers, *topic.readers))
    )
    lines = [
        "flowchart LR",
        *(_draw_party(party) for party in parties),
        *(f'{_pipe(topic)}[("{topic.name}")]:::{topic.kind}' for topic in topics),
        *(edge for topic in topics for edge in _edges(topic)),
        *_STYLES,
    ]
    return "\n    ".join(lines) + "\n"


def _draw_party(party: str) -> str:
    return f"{party}([{party}]):::outside" if party in OUTSIDE else f"{party}[{party}]:::room"


def _edges(topic: Topic) -> Iterable[str]:
    pipe = _pipe(topic)
    yield f"{' & '.join(topic.writers)} --> {pipe}"
    yield f"{pipe} --> {' & '.join(topic.readers)}"


def _pipe(topic: Topic) -> str:
    """A node name of its own: a topic may be named like a room."""
    return f"t_{topic.name.replace('.', '_')}"
