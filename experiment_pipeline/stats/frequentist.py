"""Fixed-sample tests: what a reader who looks exactly once may conclude. The verdict is not made of these."""

import math
from dataclasses import dataclass

from scipy import special

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.effect import LARGEST, Effect, difference, squared_standard_errors
from experiment_pipeline.stats.normal import check_level, two_sided_p, two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable


@dataclass(frozen=True, slots=True)
class WelchTest:
    """Welch's t-test of two means and the 1 - alpha confidence interval of their difference."""

    statistic: float
    dof: float
    p_value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class ProportionTest:
    """The pooled z-test of two proportions and the 1 - alpha confidence interval of their difference."""

    statistic: float
    p_value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class WaldTest:
    """The z-test of a difference by its own standard error and the 1 - alpha confidence interval."""

    statistic: float
    p_value: float
    ci_low: float
    ci_high: float


def welch_test(
    control: VariantAggregate, treatment: VariantAggregate, *, alpha: float = 0.05
) -> WelchTest | NotComputable:
    """Return the t-test of Welch (1947): `t = D / SE(D)`.

    It has the degrees of freedom of Satterthwaite (1946)
    `(a + b)^2 / (a^2 / (n_c - 1) + b^2 / (n_t - 1))`, where a and b are the arms' squared standard errors.
    Withheld: `fewer_than_two_identities`; `no_variance` in either arm's values; `out_of_range`.

    Example:
        >>> control = VariantAggregate(n=10_000, mean=0.10, m2=900.0)
        >>> treatment = VariantAggregate(n=10_000, mean=0.11, m2=979.0)
        >>> found = welch_test(control, treatment)
        >>> round(found.statistic, 3), round(found.p_value, 4)
        (2.307, 0.0211)
    """
    check_level("alpha", alpha)
    squared = squared_standard_errors(control, treatment)
    if isinstance(squared, NotComputable):
        return squared
    error, value = math.sqrt(sum(squared)), difference(control, treatment)
    if not max(error, abs(value)) < LARGEST:
        return NotComputable("out_of_range")
    if error == 0:
        return NotComputable("no_variance")
    share_c, share_t = squared[0] / sum(squared), squared[1] / sum(squared)
    dof = 1 / (share_c * share_c / (control.n - 1) + share_t * share_t / (treatment.n - 1))
    statistic = value / error
    half = -float(special.stdtrit(dof, alpha / 2)) * error  # from the lower tail: 1 - alpha / 2 may be 1
    if not (math.isfinite(statistic) and 0 < half < LARGEST):
        return NotComputable("out_of_range")
    return WelchTest(statistic, dof, two_sided_t_p(statistic, dof), ci_low=value - half, ci_high=value + half)


def two_sided_t_p(statistic: float, dof: float) -> float:
    """Return `P(|T| > |t|)` from the lower tail, so that it keeps its digits down to 1e-300."""
    return 2 * float(special.stdtr(dof, -abs(statistic)))


def two_proportion_test(
    control: VariantAggregate, treatment: VariantAggregate, *, alpha: float = 0.05
) -> ProportionTest | NotComputable:
    """Return the z-test of two proportions with the variance pooled under "no difference", and Newcombe's interval.

    The interval is number 10 of Newcombe (1998), "Interval estimation for the difference between independent
    proportions": square-and-add of the arms' Wilson (1927) intervals. It stays inside [-1, 1] and has its coverage
    with few conversions too. Withheld: `fewer_than_two_identities`; `no_variance` when all or none converted.
    """
    z = two_sided_quantile(alpha)
    if control.n < 2 or treatment.n < 2:
        return NotComputable("fewer_than_two_identities")
    converted_c, converted_t = _conversions("control", control), _conversions("treatment", treatment)
    n_c, n_t = control.n, treatment.n
    pooled = (converted_c + converted_t) / (n_c + n_t)
    if pooled in (0, 1):
        return NotComputable("no_variance")
    p_c, p_t = converted_c / n_c, converted_t / n_t
    statistic = (p_t - p_c) / math.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_t))
    low_c, high_c = wilson_interval(converted_c, n_c, z)
    low_t, high_t = wilson_interval(converted_t, n_t, z)
    return ProportionTest(
        statistic=statistic,
        p_value=two_sided_p(statistic),
        ci_low=p_t - p_c - math.hypot(p_t - low_t, high_c - p_c),
        ci_high=p_t - p_c + math.hypot(high_t - p_t, p_c - low_c),
    )


def wald_test(effect: Effect) -> WaldTest | NotComputable:
    """Return the z-test of Wald (1943), `z = D / SE(D)`, for estimates that are not means: ratios and quantiles.

    Their standard errors come from large samples, so there are no degrees of freedom to be had. The interval is the
    effect's own. Withheld: `no_variance`, where the standard error is 0; `out_of_range`.

    Example:
        >>> found = wald_test(Effect(value=3.0, standard_error=1.25, ci_low=0.55, ci_high=5.45))
        >>> found.statistic, round(found.p_value, 4)
        (2.4, 0.0164)
    """
    if effect.standard_error == 0:
        return NotComputable("no_variance")
    statistic = effect.value / effect.standard_error
    if not math.isfinite(statistic):
        return NotComputable("out_of_range")
    return WaldTest(statistic, two_sided_p(statistic), effect.ci_low, effect.ci_high)


def wilson_interval(converted: int, n: int, z: float) -> tuple[float, float]:
    """Return Wilson's (1927) score interval of one proportion: the proportions that a z-test does not refute."""
    if not 0 <= converted <= n or n == 0:
        raise ValueError(f"converted: must lie between 0 and n, which is positive, got {converted} of {n}")
    p = converted / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _conversions(name: str, arm: VariantAggregate) -> int:
    if not 0 <= arm.mean <= 1:
        raise ValueError(f"{name}: a proportion's mean must lie between 0 and 1, got {arm.mean}")
    return round(arm.sum)
