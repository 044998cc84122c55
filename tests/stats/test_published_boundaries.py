"""Planned looks against published tables and printed output of other programs: every digit that they print."""

from typing import Any

import pytest

from experiment_pipeline.stats.group_sequential import (
    exit_probabilities,
    inflation,
    obrien_fleming_boundaries,
    spending_boundaries,
)
from experiment_pipeline.stats.normal import two_sided_quantile
from tests.golden.files import golden

Case = dict[str, Any]
PUBLISHED = golden("published_boundaries")


def equally_spaced(looks: int) -> list[float]:
    return [(k + 1) / looks for k in range(looks)]


def agrees(found: float, printed: str, error: float = 0.0) -> bool:
    """Within half a unit of the last digit printed, and the source's own error."""
    half_a_unit = 0.5 * 10.0 ** -len(printed.partition(".")[2])
    return abs(found - float(printed)) <= half_a_unit * (1 + 1e-9) + error


def cases(name: str) -> list[Case]:
    found: list[Case] = [case for published in PUBLISHED[name] for case in published.get("cases", [published])]
    return found


@pytest.mark.parametrize("case", cases("spending"))
def test_spending_boundaries__lan_demets_output__agree(case: Case) -> None:
    found = spending_boundaries(case["fractions"], case["alpha"])
    for z, printed in zip(found, case["boundaries"], strict=True):
        assert agrees(z, printed, case["error"]), (z, printed)


@pytest.mark.parametrize("case", cases("obrien_fleming"))
def test_obrien_fleming_boundaries__published__agree(case: Case) -> None:
    found = obrien_fleming_boundaries(len(case["boundaries"]))
    for z, printed in zip(found, case["boundaries"], strict=True):
        assert agrees(z, printed, case["error"]), (z, printed)


@pytest.mark.parametrize("case", cases("inflation"))
def test_inflation__published__agrees(case: Case) -> None:
    looks = case["looks"]
    found = inflation(equally_spaced(looks), obrien_fleming_boundaries(looks), power=case["power"])
    assert agrees(100 * found, case["percent"])


@pytest.mark.parametrize("case", cases("repeated_tests"))
def test_exit_probabilities__fixed_test_repeated__are_the_published_ones(case: Case) -> None:
    looks = case["looks"]
    found = exit_probabilities(equally_spaced(looks), [two_sided_quantile(0.05)] * looks)
    assert agrees(sum(found.upper), case["above"])
