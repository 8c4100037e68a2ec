"""Reading what a room shows at /metrics."""

from prometheus_client.parser import text_string_to_metric_families


def shown_metrics(text: str) -> dict[str, str]:
    """The kind of each metric of a text in Prometheus' format, by the name that queries use."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(text)
    }
