"""What a model tells apart: where the mid will be, a horizon later."""

import re
from typing import Final

from services.domain import predictions

DOWN: Final = 0
FLAT: Final = 1
UP: Final = 2
"""A label, and the place of its probability in a row of probabilities."""

CLASS_NAMES: Final = predictions.CLASS_NAMES
"""By label."""
CLASSES: Final = len(CLASS_NAMES)

HORIZON_S: Final = 10
"""What is trained and served unless another horizon is asked for."""

_NAME: Final = re.compile(r"direction_([1-9]\d{0,4})s")


def model_name(horizon_s: int) -> str:
    """What the registry calls the models of a horizon; their versions compete with each other."""
    return f"direction_{horizon_s}s"


def horizon_of(name: str) -> int | None:
    """The horizon that a name tells, seconds; None: it is no name of ours."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None
