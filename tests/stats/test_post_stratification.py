"""Post-stratification: weights are pooled shares, and cells that are too small are merged (C11)."""

import math

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.post_stratification import Cell, PostStratified, post_stratified


def cell(n: tuple[int, int], means: tuple[float, float], variance: float = 1.0) -> Cell:
    control, treatment = (
        VariantAggregate(size, mean, variance * max(0, size - 1)) for size, mean in zip(n, means, strict=True)
    )
    return control, treatment


def of(values: Floats) -> VariantAggregate:
    return VariantAggregate.of(values.tolist())


def found(cells: list[Cell], minimum_identities: int = 50) -> PostStratified:
    answer = post_stratified(cells, minimum_identities=minimum_identities)
    assert isinstance(answer, PostStratified)
    return answer


def test_post_stratified__cells_of_other_levels__do_not_leak_into_the_effect__c11() -> None:
    """By chance treatment has fewer from the country that spends much; in each country it gains 1."""
    answer = found([cell((400, 600), (1.0, 2.0)), cell((600, 400), (9.0, 10.0))])
    assert answer.effect.value == pytest.approx(1.0)
    assert answer.effect.standard_error == pytest.approx(math.sqrt(2 * 0.25 * (1 / 400 + 1 / 600)))


def test_post_stratified__weights__are_pooled_shares_of_the_cells() -> None:
    answer = found([cell((100, 100), (0.0, 1.0)), cell((400, 200), (0.0, 3.0), 4.0)])
    assert answer.effect.value == pytest.approx(0.25 * 1 + 0.75 * 3)
    squared = 0.25**2 * (2 / 100) + 0.75**2 * 4 * (1 / 400 + 1 / 200)
    assert answer.effect.standard_error == pytest.approx(math.sqrt(squared))
    assert answer.effect.ci_high == pytest.approx(2.5 + 1.959963984540054 * math.sqrt(squared))


def test_post_stratified__one_cell__is_the_plain_effect() -> None:
    only = cell((500, 700), (1.0, 1.2))
    assert found([only]).effect == effect(*only)


@pytest.mark.parametrize(
    ("sizes", "cells"),
    [
        ([(500, 500), (49, 49), (49, 49)], 2),  # two small ones are enough together
        ([(500, 500), (400, 400), (49, 49)], 2),  # one joins the smallest
        ([(500, 500), (90, 10), (10, 90)], 2),  # 100 of each together
        ([(40, 40), (40, 40)], 1),
        ([(500, 500), (1, 0)], 1),
        ([(500, 500), (0, 0)], 1),
    ],
)
def test_post_stratified__cells_below_the_floor__are_merged__c11(sizes: list[tuple[int, int]], cells: int) -> None:
    answer = found([cell(size, (1.0, 2.0)) for size in sizes])
    assert answer.cells == cells
    assert answer.effect.value == pytest.approx(1.0)


@pytest.mark.parametrize("cells", [[], [cell((49, 49), (1.0, 2.0))], [cell((0, 0), (0.0, 0.0))]])
def test_post_stratified__too_few_in_all__is_withheld(cells: list[Cell]) -> None:
    assert post_stratified(cells) == NotComputable("below_minimum_identities")


def test_post_stratified__no_floor_and_single_identities__is_withheld() -> None:
    few = [cell((1, 1), (1.0, 2.0))]
    assert post_stratified(few, minimum_identities=1) == NotComputable("fewer_than_two_identities")


def test_post_stratified__values_too_large__are_out_of_range() -> None:
    assert post_stratified([cell((90, 90), (0.0, 1e200))]) == NotComputable("out_of_range")


def test_post_stratified__cells_that_explain_the_values__narrow_the_interval_and_keep_its_error() -> None:
    rng, rejected, narrower = np.random.default_rng(8), 0, []
    for _ in range(400):
        country, treated = rng.integers(0, 4, 2_000), rng.random(2_000) < 0.5
        values = 2.0 * country + rng.normal(0, 1, 2_000)
        arms = [
            [VariantAggregate.of(values[(country == k) & (treated == t)].tolist()) for t in (0, 1)] for k in range(4)
        ]
        answer = found([(control, treatment) for control, treatment in arms]).effect
        plain = effect(*(of(values[treated == t]) for t in (0, 1)))
        assert not isinstance(plain, NotComputable)
        narrower.append(answer.standard_error / plain.standard_error)
        rejected += answer.ci_low > 0 or answer.ci_high < 0
    assert np.mean(narrower) == pytest.approx(1 / math.sqrt(6), rel=0.03)  # variances 1 and 1 + 4 * 5 / 4
    assert 0.05 * 400 - 18 <= rejected <= 0.05 * 400 + 18
