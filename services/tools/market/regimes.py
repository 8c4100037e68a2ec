"""How the simulated crowd behaves, and what a change of it looks like: planted for drift to find.

A model learns what the crowd does in one regime. In another the same accounts do it otherwise, from
one record to the next and without a word, as markets do.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace


class Regime(msgspec.Struct, frozen=True):
    """One way of behaving."""

    drift_steps: int
    """Steps of a ticker's mid from one turn of its drift to the next; each command about the
    ticker is one."""
    drift_strength: float
    """How much likelier a step with the drift is, as a share; at most 0.9."""
    is_known_ahead: bool
    """Informed accounts know the drift that comes after the next turn, not the present one: what
    was tells nothing of what comes, and what they do tells it."""
    informed: int
    """1: informed accounts take in the direction of the drift that they know; -1: against it."""
    informed_share: float
    """Of all commands; what it takes, noise accounts lack. At most 0.35."""
    patience: float
    """So many of the orders that accounts usually leave resting do they leave, as a share: how long
    the book remembers."""
    lots_times: int
    """Orders are so many times as large as usual."""
    quote_away_cents: int
    """Makers quote so much further from the mid than usual."""


USUAL: Final = Regime(
    drift_steps=400,
    drift_strength=0.4,
    is_known_ahead=False,
    informed=1,
    informed_share=0.12,
    patience=1.0,
    lots_times=1,
    quote_away_cents=0,
)
FORESEEN: Final = replace(
    USUAL,
    drift_steps=40,
    drift_strength=0.9,
    is_known_ahead=True,
    informed_share=0.26,
    patience=0.3,
)

REGIMES: Final[Mapping[str, Regime]] = MappingProxyType(
    {
        "usual": USUAL,
        "nervous": replace(USUAL, drift_steps=100, lots_times=3, quote_away_cents=2),
        "foreseen": FORESEEN,
        "turned": replace(FORESEEN, informed=-1, lots_times=3, quote_away_cents=2),
    }
)
"""By what people type. From `usual` to `nervous` what a model sees is another; from `foreseen` to
`turned` what it should say of it, too."""
