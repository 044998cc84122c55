"""Reference values have forty digits."""

import mpmath
import pytest


@pytest.fixture(autouse=True)
def _forty_digits() -> None:
    mpmath.mp.dps = 40
