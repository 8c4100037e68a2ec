"""How the simulated crowd behaves, and what a change of it looks like: planted for drift to find.

A model learns what the crowd does in one regime. In another the same accounts do it otherwise, from
one record to the next and without a word, as markets do.
"""

from collections.abc import Mapping
from typing import Final

import msgspec


class Regime(msgspec.Struct, frozen=True):
    """One way of behaving."""

    drift_steps: int
    """Steps of a ticker's mid from one turn of its drift to the next; each command about the
    ticker is one."""
    informed: int
    """1: informed accounts take in the direction of the drift; -1: against it."""
    lots_times: int
    """Orders are so many times as large as usual."""
    quote_away_cents: int
    """Makers quote so much further from the mid than usual."""


USUAL: Final = Regime(drift_steps=400, informed=1, lots_times=1, quote_away_cents=0)

REGIMES: Final[Mapping[str, Regime]] = {
    "usual": USUAL,
    "contrarian": Regime(drift_steps=400, informed=-1, lots_times=1, quote_away_cents=0),
    "nervous": Regime(drift_steps=100, informed=1, lots_times=5, quote_away_cents=3),
    "turned": Regime(drift_steps=400, informed=-1, lots_times=5, quote_away_cents=3),
}
"""By what people type: `contrarian` changes what a model should say, `nervous` what it sees, and
`turned` both."""
