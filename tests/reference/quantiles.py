"""Nearest ranks, and the order statistics around a quantile: rules M10 and M12, without a float."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

Z = Decimal("1.959963984540054")
DIGITS = 60


@dataclass(frozen=True)
class QuantileEstimate:
    """The quantile of one variant; a bound is None where its rank is none of 1..n."""

    n: int
    value: Fraction
    low: Fraction | None
    high: Fraction | None


def share(number: float) -> Fraction:
    """A number as it is written in decimals: 0.9 is nine tenths."""
    return Fraction(str(number))


def nearest_rank(values: Sequence[Fraction], part: Fraction) -> Fraction:
    """The smallest value that at least this part of the values, of which there is one, do not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def of_identities(values: Sequence[Fraction], q: Fraction) -> QuantileEstimate | None:
    """The variance of the number of values below the quantile is `n q (1 - q)`."""
    if not values:
        return None
    return _estimate(values, q, len(values) * q * (1 - q), len(values))


def of_events(values_of_identities: Sequence[Sequence[Fraction]], q: Fraction) -> QuantileEstimate | None:
    """The same number has the variance of a ratio over identities with an event: the delta method."""
    values_of_identities = [own for own in values_of_identities if own]
    values = [value for own in values_of_identities for value in own]
    if not values:
        return None
    quantile = nearest_rank(values, q)
    below = [sum(value <= quantile for value in own) for own in values_of_identities]
    ratio = Fraction(sum(below), len(values))
    deviations = [part - ratio * len(own) for part, own in zip(below, values_of_identities, strict=True)]
    n = len(values_of_identities)
    if n < 2:
        return QuantileEstimate(n, quantile, None, None)
    squares = sum((deviation * deviation for deviation in deviations), Fraction(0))
    return _estimate(values, q, squares * n / (n - 1), n)


def interval_ranks(n: int, q: Fraction, variance: Fraction) -> tuple[int, int]:
    """`floor(n q - z s)` and `ceil(n q + z s) + 1`, where s is the root of the variance of a number of values."""
    with localcontext() as context:
        context.prec = DIGITS
        centre = _decimal(n * q)
        reach = Z * _decimal(variance).sqrt()
        return math.floor(centre - reach), math.ceil(centre + reach) + 1


def _estimate(values: Sequence[Fraction], q: Fraction, variance: Fraction, n: int) -> QuantileEstimate:
    ordered = sorted(values)
    low, high = (
        ordered[rank - 1] if 1 <= rank <= len(ordered) else None for rank in interval_ranks(len(ordered), q, variance)
    )
    return QuantileEstimate(n, nearest_rank(values, q), low, high)


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)
