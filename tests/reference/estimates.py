"""What a statistic comes to in a variant, with its error: rules M9, M11 and C12, from the identities' own values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.quantiles import QuantileEstimate

Z = Fraction("1.959963984540054")
Pairs = Sequence[tuple[Fraction, Fraction]]  # x, y of each identity


@dataclass(frozen=True)
class Estimate:
    """A number of a variant and its squared standard error, in the form of moments of n identities."""

    n: int
    mean: Fraction
    squared_error: Fraction

    @property
    def m2(self) -> Fraction:
        """Sum of squared deviations that a mean with this error would have."""
        return self.squared_error * self.n * (self.n - 1)


def of_mean(values: Sequence[Fraction]) -> Estimate:
    """The mean, of two identities or more."""
    return Estimate(len(values), _mean(values), _covariance(values, values) / len(values))


def of_ratio(pairs: Pairs) -> Estimate | None:
    """Rule M9: the error by the partial derivatives of y / x; None where the denominator is not positive."""
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    x, y = _mean(xs), _mean(ys)
    if x <= 0:
        return None
    by_y, by_x = 1 / x, -y / x**2
    variance = by_y**2 * _covariance(ys, ys) + 2 * by_y * by_x * _covariance(xs, ys) + by_x**2 * _covariance(xs, xs)
    return Estimate(len(pairs), y / x, variance / len(pairs))


def of_quantile(found: QuantileEstimate | None) -> Estimate | None:
    """Rule C12: the error by the interval, or by its larger side where it is more than twice the other."""
    if found is None or found.low is None or found.high is None:
        return None
    sides = sorted((found.value - found.low, found.high - found.value))
    reach = sides[1] if sides[1] > 2 * sides[0] else sum(sides, Fraction(0)) / 2
    return Estimate(found.n, found.value, (reach / Z) ** 2)


@dataclass(frozen=True)
class Adjusted:
    """Both variants after adjustment, and the share of the variance that it took away."""

    control: Estimate
    treatment: Estimate
    variance_reduction: Fraction


def adjusted(control: Pairs, treatment: Pairs) -> Adjusted | None:
    """Rule M11: every identity's value less what its pre-period lets expect; None where no pre-period differs.

    The slope is that of the least squares within variants; the pre-period counts from control's mean.
    """
    centred = [
        [(x - _mean([a for a, _ in arm]), y - _mean([b for _, b in arm])) for x, y in arm]
        for arm in (control, treatment)
    ]
    squares = sum((x * x for arm in centred for x, _ in arm), Fraction(0))
    if squares == 0:
        return None
    slope = sum((x * y for arm in centred for x, y in arm), Fraction(0)) / squares
    centre = _mean([x for x, _ in control])
    arms = [[y - slope * (x - centre) for x, y in arm] for arm in (control, treatment)]
    before = sum((y * y for arm in centred for _, y in arm), Fraction(0))
    after = sum((_covariance(arm, arm) * (len(arm) - 1) for arm in arms), Fraction(0))
    return Adjusted(of_mean(arms[0]), of_mean(arms[1]), 1 - after / before if before else Fraction(0))


def standard_error(control: Estimate, treatment: Estimate) -> float:
    """Standard error of the difference of both."""
    return math.sqrt(control.squared_error + treatment.squared_error)


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _covariance(xs: Sequence[Fraction], ys: Sequence[Fraction]) -> Fraction:
    x, y = _mean(xs), _mean(ys)
    return sum(((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)), Fraction(0)) / (len(xs) - 1)
