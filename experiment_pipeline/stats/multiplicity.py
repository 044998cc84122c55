"""Many comparisons at once: Holm where no verdict may be wrong, Benjamini-Hochberg where few of them may.

Both are given the anytime-valid p-value `1 / M` of each comparison; what they promise then holds at every refresh. A
comparison that cannot be made yet has p-value 1: the family is the one that was planned, not the part that has data.
Given fixed-sample p-values, as `frequentist` of the payload is, the promise holds at a single look.

Families of comparisons are judged by `holm_levels` and `benjamini_hochberg_levels`, the splits within the values of
dimensions by `holm`.
"""

from collections.abc import Callable, Sequence

from experiment_pipeline.stats.normal import check_level

Levels = Callable[[Sequence[float], float], list[float]]  # p-values and alpha of a family: the level of each comparison


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values, in the given order: at most alpha of families hold any false rejection.

    Holm (1979), "A simple sequentially rejective multiple test procedure": the k-th smallest of m is multiplied by
    m - k + 1, then made to grow with rank. Any dependence between the tests is allowed.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
        >>> benjamini_hochberg([0.01, 0.04, 0.03])
        [0.03, 0.04, 0.04]
    """
    m = len(_checked(p_values))
    adjusted, largest = [0.0] * m, 0.0
    for rank, index in enumerate(_ranked(p_values)):
        largest = max(largest, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """Return the level at which Holm tests each comparison, in the given order.

    An interval at its level excludes zero exactly when Holm rejects that comparison at the family's alpha: the k-th
    smallest of m is tested at `alpha / (m - k + 1)`, and everything after the first that is kept, at that one's level.

    Args:
        p_values: of every comparison of the family, in any order.
        alpha: the level of the family, strictly between 0 and 1.

    Returns:
        One level a comparison, in the order of `p_values`.

    Raises:
        ValueError: `alpha` or a p-value is out of range.

    Example:
        >>> [round(level, 4) for level in holm_levels([0.01, 0.04, 0.03], alpha=0.05)]
        [0.0167, 0.025, 0.025]
    """
    check_level("alpha", alpha)
    m = len(_checked(p_values))
    levels, level = [alpha] * m, 0.0
    rejecting = True
    for rank, index in enumerate(_ranked(p_values)):
        if rejecting:
            level = alpha / (m - rank)
            rejecting = p_values[index] <= level
        levels[index] = level
    return levels


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values, in the given order: of the rejections at alpha, at most alpha are false on average.

    Benjamini and Hochberg (1995), "Controlling the false discovery rate": the k-th smallest of m is multiplied by
    m / k, then made to grow with rank. For independent or positively dependent tests.
    """
    m = len(_checked(p_values))
    adjusted, smallest = [0.0] * m, 1.0
    for rank, index in reversed(list(enumerate(_ranked(p_values), start=1))):
        smallest = min(smallest, p_values[index] * (m / rank))
        adjusted[index] = smallest
    return adjusted


def benjamini_hochberg_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """Return the level at which each comparison is tested: the same for all, `alpha R / m` with R of m rejected.

    An interval at this level excludes zero exactly when the procedure rejects that comparison at the family's alpha
    (Benjamini and Yekutieli 2005, "False discovery rate-adjusted multiple confidence intervals"); with no rejection it
    is `alpha / m`. On anytime-valid p-values, which are reciprocals of e-values, this is the e-BH procedure of Wang and
    Ramdas (2022, "False discovery rate control with e-values"): whatever the dependence between the comparisons, and
    whenever one stops to look, at most alpha of the rejections are false on average. The intervals of what is rejected
    miss as rarely (Xu, Wang and Ramdas 2022, "Post-selection inference for e-value based confidence intervals").

    Args:
        p_values: of every comparison of the family, in any order.
        alpha: the level of the family, strictly between 0 and 1.

    Returns:
        One level a comparison, in the order of `p_values`.

    Raises:
        ValueError: `alpha` or a p-value is out of range.
    """
    check_level("alpha", alpha)
    m = len(_checked(p_values))
    rejected = [rank for rank, p_value in enumerate(sorted(p_values), start=1) if p_value <= alpha * (rank / m)]
    return [alpha * (max(rejected, default=1) / m) for _ in p_values]


def _checked(p_values: Sequence[float]) -> Sequence[float]:
    for p_value in p_values:
        if not 0 <= p_value <= 1:
            raise ValueError(f"p_values: must lie between 0 and 1, got {p_value}")
    return p_values


def _ranked(p_values: Sequence[float]) -> list[int]:
    """Return indices from the smallest p-value to the largest."""
    return sorted(range(len(p_values)), key=lambda index: p_values[index])
