"""What arrays are called where they are asked for and given: by their numbers, one name a kind."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Levels from 0 to 255: grey, or blue, green and red."""
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]
