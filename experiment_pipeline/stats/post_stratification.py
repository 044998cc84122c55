"""The overall effect from the effects within cells, such as countries, each weighted by its share of all identities.

It takes out what the arms differ in by chance in who they are made of.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import EMPTY, VariantAggregate
from experiment_pipeline.stats.effect import LARGEST, Effect, difference, squared_standard_errors
from experiment_pipeline.stats.normal import two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable

Cell = tuple[VariantAggregate, VariantAggregate]  # control and treatment


@dataclass(frozen=True, slots=True)
class PostStratified:
    """The overall effect, and the number of cells that it is made of."""

    effect: Effect
    cells: int


def post_stratified(
    cells: Sequence[Cell], *, minimum_identities: int = 50, alpha: float = 0.05
) -> PostStratified | NotComputable:
    """Return the effect of all cells, weighted by their pooled shares (Miratrix, Sekhon and Yu 2013).

    `D = sum w_k D_k` and `SE^2 = sum w_k^2 SE_k^2`, with `w_k = (n_c,k + n_t,k) / n` ("Adjusting treatment effect
    estimates by post-stratification in randomized experiments"). Cells with fewer identities in an arm than the floor
    are one cell together; where that is still below it, they join the smallest other cell.
    Withheld: `below_minimum_identities`, where all cells together are below the floor; `fewer_than_two_identities`;
    `out_of_range`.

    Args:
        cells: both arms of every cell, in any order; the result does not depend on it but for rounding.
        minimum_identities: that each arm of a cell must have.
        alpha: the level of the interval, strictly between 0 and 1.

    Raises:
        ValueError: `alpha` is out of range.

    Example:
        >>> small = VariantAggregate(100, 1.0, 99.0), VariantAggregate(300, 1.5, 299.0)
        >>> large = VariantAggregate(300, 3.0, 299.0), VariantAggregate(100, 3.5, 99.0)
        >>> found = post_stratified([small, large])
        >>> round(found.effect.value, 3), round(found.effect.standard_error, 4), found.cells
        (0.5, 0.0816, 2)
    """
    z = two_sided_quantile(alpha)
    merged = _merged(cells, minimum_identities)
    if isinstance(merged, NotComputable):
        return merged
    identities = sum(control.n + treatment.n for control, treatment in merged)
    value, squared = 0.0, 0.0
    for control, treatment in merged:
        errors = squared_standard_errors(control, treatment)
        if isinstance(errors, NotComputable):
            return errors
        weight = (control.n + treatment.n) / identities
        value += weight * difference(control, treatment)
        squared += weight * weight * sum(errors)
    error = math.sqrt(squared)
    low, high = value - z * error, value + z * error
    if not (low > -LARGEST and high < LARGEST):
        return NotComputable("out_of_range")
    return PostStratified(Effect(value, error, low, high), cells=len(merged))


def _merged(cells: Sequence[Cell], floor: int) -> list[Cell] | NotComputable:
    """Return the cells, those below the floor as one."""
    enough = sorted((cell for cell in cells if _smallest(cell) >= floor), key=_size)
    rest: Cell = (EMPTY, EMPTY)
    for cell in cells:
        if _smallest(cell) < floor:
            rest = _together(rest, cell)
    if _size(rest) == 0:
        return enough or NotComputable("below_minimum_identities")
    if _smallest(rest) >= floor:
        return [*enough, rest]
    return [_together(enough[0], rest), *enough[1:]] if enough else NotComputable("below_minimum_identities")


def _together(one: Cell, other: Cell) -> Cell:
    return one[0].merge(other[0]), one[1].merge(other[1])


def _smallest(cell: Cell) -> int:
    return min(arm.n for arm in cell)


def _size(cell: Cell) -> int:
    return sum(arm.n for arm in cell)
