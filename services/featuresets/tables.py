"""A feature set as a table of a page: the definitions are the only place that says it."""

from typing import Any

from services.featuresets.definitions import Feature, FeatureSet


def features_table(feature_set: FeatureSet[Any]) -> str:
    """A Markdown table, one line a feature, in the order of a row's values."""
    lines = [
        "| feature | unit | integer | window | what it says |",
        "|---|---|---|---|---|",
        *(
            f"| `{feature.name}` | {feature.unit} | {_integer(feature)} | {_window(feature)}"
            f" | {feature.doc} |"
            for feature in feature_set.features
        ),
    ]
    return "\n".join(lines)


def _integer(feature: Feature) -> str:
    return "itself" if feature.scale == 1 else f"1/{feature.scale:,}"


def _window(feature: Feature) -> str:
    if feature.window_s:
        return f"{feature.window_s} s of {feature.source}"
    if feature.window_bars:
        return f"{feature.window_bars} {feature.source}"
    return f"last of {feature.source}"
