"""The examples in the docstrings of the statistics are right."""

import doctest
from importlib import import_module

import pytest

from tests.stats.test_imports import MODULES

TYPES_ALONE = {"arrays"}


@pytest.mark.parametrize("module", [name for name in MODULES if name not in TYPES_ALONE])
def test_examples__of_every_module__are_right(module: str) -> None:
    results = doctest.testmod(import_module(f"experiment_pipeline.stats.{module}"))
    assert results.attempted > 0
    assert results.failed == 0
