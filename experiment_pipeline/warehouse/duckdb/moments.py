"""Moments of the identities of one arm, while they are computed range by range (rule M5)."""

import math
from dataclasses import dataclass, field, fields

import numpy as np

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.arrays import Floats


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers that add up over ranges of identities.

    Attributes:
        identities: analysed ones whose window has ended, where the metric asks for that (rule M8).
        not_mature: analysed ones that wait for it.
        nonzero: identities whose value is not 0; `nonzero_x` those whose second measure is not.
        with_value: identities that have a value.
        with_event: identities with an event that counts; of a funnel, that reach the step.
        values: events whose value was read as a number.
        invalid_values: those of them whose value is not one (rule E5).
        capped: identities whose value was above the cap; `floored` below the floor (rule M10).
        capped_x: the same of the denominator of a ratio; `floored_x` likewise.
    """

    identities: int = 0
    not_mature: int = 0
    nonzero: int = 0
    nonzero_x: int = 0
    with_value: int = 0
    with_event: int = 0
    values: int = 0
    invalid_values: int = 0
    capped: int = 0
    floored: int = 0
    capped_x: int = 0
    floored_x: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and sum of squared deviations of one number per identity, which may be too large for a float.

    `VariantAggregate` is what statistics compute with, always finite.

    Attributes:
        n: identities.
        mean: None where it is too large for a float; `m2` likewise.
    """

    n: int
    mean: float | None
    m2: float | None

    @classmethod
    def of(cls, of_identities: Floats) -> "Moments":
        """Return the moments of one number per identity; the second of two passes corrects the rounding."""
        n = len(of_identities)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(of_identities.mean()) if n else 0.0
            deviations = of_identities - mean
            m2 = float((deviations * deviations).sum() - deviations.sum() ** 2 / max(n, 1))
        return cls(n, finite(mean), max(m2, 0.0) if math.isfinite(m2) else None)

    @property
    def aggregate(self) -> VariantAggregate | None:
        """The aggregate that statistics compute with; None where the moments are too large for a float."""
        return None if self.mean is None or self.m2 is None else VariantAggregate(self.n, self.mean, self.m2)

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of the identities of both together."""
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        if self.mean is None or other.mean is None:
            return Moments(n, None, None)
        mine, theirs = self.aggregate, other.aggregate
        if mine is not None and theirs is not None:
            try:
                both = mine.merge(theirs)
            except ValueError:  # both are finite, together they are not
                pass
            else:
                return Moments(n, both.mean, both.m2)
        return Moments(n, finite((self.n * self.mean + other.n * other.mean) / n), None)


@dataclass(frozen=True, slots=True)
class ArmMoments:
    """One metric in one arm, over all its identities or a range of them.

    Attributes:
        y: of the metric's values; of a ratio, of its numerator.
        x: of the denominator of a ratio, or of the metric over its pre-period; None for other metrics.
        c_xy: the sum of products of the deviations of both; None without x, or where it is too large for a float.
        largest: the largest value of an identity; None where there is no identity, or a value too large for a float.
    """

    y: Moments
    x: Moments | None = None
    c_xy: float | None = None
    largest: float | None = None
    counts: Counts = field(default_factory=Counts)

    @classmethod
    def of(cls, y: Floats, x: Floats | None, counts: Counts) -> "ArmMoments":
        """Return the moments of the values of an arm's identities.

        Args:
            y: one value per identity.
            x: their values of the second measure; None where there is none.
            counts: everything but `nonzero` and `nonzero_x`.
        """
        moments = Moments.of(y)
        nonzero_x = 0 if x is None else int(np.count_nonzero(x))
        counted = counts + Counts(nonzero=int(np.count_nonzero(y)), nonzero_x=nonzero_x)
        largest = finite(float(y.max())) if len(y) else None
        if x is None:
            return cls(moments, largest=largest, counts=counted)
        with np.errstate(over="ignore", invalid="ignore"):
            dx, dy = x - (x.mean() if len(x) else 0.0), y - (y.mean() if len(y) else 0.0)
            c_xy = float((dx * dy).sum() - dx.sum() * dy.sum() / max(len(x), 1))
        return cls(moments, Moments.of(x), finite(c_xy), largest, counted)

    @property
    def joint(self) -> PairAggregate | None:
        """The joint moments that statistics compute with; None without x, or where one is too large for a float."""
        x, y = None if self.x is None else self.x.aggregate, self.y.aggregate
        if x is None or y is None or self.c_xy is None:
            return None
        return PairAggregate(y.n, mean_x=x.mean, mean_y=y.mean, m2_x=x.m2, m2_y=y.m2, c_xy=self.c_xy)

    def merge(self, other: "ArmMoments") -> "ArmMoments":
        """Return the moments of the identities of both together."""
        x = self.x if self.x is None or other.x is None else self.x.merge(other.x)
        largest = [each.largest for each in (self, other) if each.y.n]
        return ArmMoments(
            y=self.y.merge(other.y),
            x=x,
            c_xy=None if x is None else self._merged_products(other),
            largest=None if not largest or None in largest else max(each for each in largest if each is not None),
            counts=self.counts + other.counts,
        )

    def _merged_products(self, other: "ArmMoments") -> float | None:
        if self.y.n == 0 or other.y.n == 0:
            return other.c_xy if self.y.n == 0 else self.c_xy
        mine, theirs = self.joint, other.joint
        if mine is None or theirs is None:
            return None
        try:
            return mine.merge(theirs).c_xy
        except ValueError:  # both are finite, together they are not
            return None


def finite(number: float) -> float | None:
    """Return the number; None where it is too large for a float."""
    return number if math.isfinite(number) else None
