"""Arrays by what they hold."""

import numpy as np
from numpy.typing import NDArray

type Ints = NDArray[np.int64]
type Floats = NDArray[np.float64]
type Bools = NDArray[np.bool_]
type Classes = NDArray[np.int8]
"""0 down, 1 flat, 2 up."""
type Codes = NDArray[np.int16]
"""Places in a list of names."""
