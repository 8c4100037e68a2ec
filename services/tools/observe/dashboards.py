"""The dashboards as Grafana reads them."""

import json
from typing import TYPE_CHECKING, Final

from services.tools.observe.other_boards import INFRASTRUCTURE, ML
from services.tools.observe.panels import Dashboard
from services.tools.observe.panels import Panel as OurPanel
from services.tools.observe.trading_boards import EXCHANGE, GATEWAY, PIPELINE

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, timeseries
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.variants import Dataquery
    from grafana_foundation_sdk.models import dashboard as models

DASHBOARDS: Final = (EXCHANGE, PIPELINE, GATEWAY, ML, INFRASTRUCTURE)

_ACROSS: Final = 24
"""Of Grafana's grid."""
_HEIGHT: Final = 8


def dashboard_json(dashboard: Dashboard) -> str:
    """The file that Grafana is provisioned with."""
    from grafana_foundation_sdk.builders import dashboard as boards
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    made = (
        boards.Dashboard(dashboard.title)
        .uid(f"outcry-{dashboard.name}")
        .description(dashboard.meaning)
        .tags(["outcry"])
        .readonly()
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("utc")
    )
    # Figures come first and fill one row.
    across = _ACROSS // max(1, sum(panel.is_figure for panel in dashboard.panels))
    for panel in dashboard.panels:
        made = made.with_panel(_figure(panel, across) if panel.is_figure else _chart(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _chart(panel: OurPanel) -> "timeseries.Panel":
    from grafana_foundation_sdk.builders import common, timeseries
    from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement

    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    )
    return (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.meaning)
        .unit(panel.unit)
        .min(0)
        .height(_HEIGHT)
        .span(_ACROSS // 2)
        .legend(legend)
        .datasource(_source())
        .targets(_targets(panel))
    )


def _figure(panel: OurPanel, across: int) -> "stat.Panel":
    from grafana_foundation_sdk.builders import stat

    return (
        stat.Panel()
        .title(panel.title)
        .description(panel.meaning)
        .unit(panel.unit)
        .height(_HEIGHT // 2)
        .span(across)
        .datasource(_source())
        .targets(_targets(panel))
    )


def _source() -> "models.DataSourceRef":
    """The one that infra/grafana/provisioning declares."""
    from grafana_foundation_sdk.models import dashboard as models

    return models.DataSourceRef("prometheus", "outcry")


def _targets(panel: OurPanel) -> "list[Builder[Dataquery]]":
    from grafana_foundation_sdk.builders import prometheus

    return [
        prometheus.Dataquery()
        .expr(query.expression)
        .legend_format(query.legend)
        .ref_id(chr(ord("A") + place))
        .datasource(_source())
        for place, query in enumerate(panel.queries)
    ]
