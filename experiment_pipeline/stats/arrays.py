"""The type of the arrays that statistics are computed on."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
