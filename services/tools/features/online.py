"""The online store as a comparison reads it. Feast is imported with this module."""

from collections.abc import Sequence
from pathlib import Path

from services.featuresets import SETS
from services.online.features import OnlineFeatures
from services.online.settings import online_url_of_environment
from services.tools.features.stores import OnlineRead, OnlineRow


def online_reader(home: Path) -> OnlineRead:
    """Reads the store of the deployment at a home, and in OUTCRY_ONLINE_URL.

    Raises:
        ConfigurationError: the URL is none of Redis's.
    """
    store = OnlineFeatures(home, online_url_of_environment())

    def read(feature_set: str, tickers: Sequence[str]) -> dict[str, OnlineRow]:
        columns = SETS[feature_set].columns
        return {
            served.ticker: OnlineRow(
                served.grid_time_us,
                served.fingerprint,
                tuple(served.values[name] for name in columns),
            )
            for served in store.read(store.service(feature_set), tickers)
            if served.grid_time_us is not None
        }

    return read
