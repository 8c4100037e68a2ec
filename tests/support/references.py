"""References within a JSON document."""

from typing import Any


def dangling(document: dict[str, Any]) -> list[str]:
    """References that lead nowhere."""
    found: list[str] = []

    def walk(node: Any) -> None:  # noqa: ANN401
        if isinstance(node, dict):
            target: Any = document
            for part in str(node.get("$ref", "#")).split("/")[1:]:
                target = target.get(part) if isinstance(target, dict) else None
            if target is None:
                found.append(node["$ref"])
        for value in node.values() if isinstance(node, dict) else node:
            if isinstance(value, dict | list):
                walk(value)

    walk(document)
    return found
