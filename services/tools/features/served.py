"""What the online store serves now, for people. Feast is imported with this module."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from services.featuresets import SETS
from services.online.catalog import FINGERPRINT
from services.online.features import OnlineFeatures
from services.online.rows import Served
from services.online.settings import feast_folder, online_url_of_environment
from services.tools.features.errors import FeaturesError
from services.tools.operate.present import print_table


class ServedNow(msgspec.Struct, frozen=True):
    """Answers of one FeatureService, and when they were asked for."""

    service: str
    fingerprint: str
    units: dict[str, str]
    answers: list[Served]
    ages_s: dict[str, float]
    """Of each ticker with a row: from its grid time to now."""

    @property
    def unknown(self) -> list[str]:
        """Tickers that the store never saw."""
        return [served.ticker for served in self.answers if served.grid_time_us is None]


def ask(home: Path, service: str, tickers: Sequence[str]) -> ServedNow:
    """The newest rows of these tickers.

    Raises:
        FeaturesError: nothing was declared in this home yet.
        OnlineStoreError: there is no such service, or its rows are of other definitions.
        OnlineStoreAwayError: the store does not answer.
    """
    if not (feast_folder(home) / "registry.db").exists():
        raise FeaturesError(
            f"no features are served from {home}: start the exchange (`outcry up`), or see"
            " OUTCRY_HOME"
        )
    online = OnlineFeatures(home, online_url_of_environment())
    found = online.service(service)
    answers = online.read(found, tickers)
    now_s = time.time()
    known = SETS.get(service)
    return ServedNow(
        service,
        found.tags.get(FINGERPRINT, ""),
        {feature.name: feature.unit for feature in known.features} if known else {},
        answers,
        {
            served.ticker: now_s - served.grid_time_us / 1_000_000
            for served in answers
            if served.grid_time_us is not None
        },
    )


def print_served(now: ServedNow) -> None:
    """A table of the values, one column a ticker; below it the ages and who is unknown."""
    seen = [served for served in now.answers if served.grid_time_us is not None]
    if seen:
        print_table(
            (now.service, *(served.ticker for served in seen), "unit"),
            [
                (name, *(_shown(served.values[name]) for served in seen), now.units.get(name, ""))
                for name in seen[0].values
            ],
        )
        ages = ", ".join(f"{ticker} {age_s:,.0f} s" for ticker, age_s in now.ages_s.items())
        sys.stdout.write(f"age: {ages}; fingerprint {now.fingerprint[:12]}\n")
    for ticker in now.unknown:
        sys.stdout.write(f"{ticker}: no row of {now.service} was ever served\n")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.9g}"
