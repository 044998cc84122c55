"""Cases of one test of which the fast suite runs the first, and the slow suite the others."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_after(fast: int, values: Iterable[Any]) -> list[Any]:
    """Return the cases for `parametrize`, those after the first marked as slow.

    Args:
        fast: how many the fast suite runs.
        values: one per case; a tuple where a test has several parameters.
    """
    cases = [value if isinstance(value, tuple) else (value,) for value in values]
    return [
        *(pytest.param(*case) for case in cases[:fast]),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in cases[fast:]),
    ]
