"""The tails of the normal law against mpmath: 1e-12 relative down to 1e-300."""

import mpmath
import numpy as np
import pytest

from experiment_pipeline.stats.normal import two_sided_p
from tests.stats.arms import SMALLEST


def test_two_sided_p__down_to_1e_300__is_exact() -> None:
    for z in np.linspace(0, 37, 75).tolist():
        exact = mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2))
        assert exact > SMALLEST
        assert two_sided_p(z) == pytest.approx(float(exact), rel=1e-12)
