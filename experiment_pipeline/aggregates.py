"""What inference needs to know of one variant and one metric: `(n, mean, m2)`, rule M5.

Moments are centred where they are computed (in the engine) and merged pairwise. Sums of squares are derived for
the payload and never used to get a variance back: at mean 1e9 and sd 1 they would give 168 or 0 instead of 1.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

LARGEST_COUNT = 2**53  # beyond it a float cannot tell two counts apart


@dataclass(frozen=True, slots=True)
class VariantAggregate:
    """Moments of one per-identity value over every analysed identity of a variant.

    n:    identities, those without events included (rule M4); n >= 0
    mean: arithmetic mean, in the metric's unit; 0 when n is 0
    m2:   sum of squared deviations from the mean, in the unit squared; >= 0
    """

    n: int
    mean: float
    m2: float

    def __post_init__(self) -> None:
        if not 0 <= self.n <= LARGEST_COUNT:
            raise ValueError(f"n: must lie between 0 and 2**53, got {self.n}")
        if not (math.isfinite(self.mean) and math.isfinite(self.m2)):
            raise ValueError(f"mean, m2: must be finite, got {self.mean} and {self.m2}")
        if self.m2 < 0:
            raise ValueError(f"m2: must not be negative, got {self.m2}")

    @property
    def variance(self) -> float | None:
        """Unbiased sample variance `m2 / (n - 1)`; None below two identities."""
        return self.m2 / (self.n - 1) if self.n > 1 else None

    @property
    def sum(self) -> float:
        """Total of the metric, for the payload."""
        return self.n * self.mean

    @property
    def sum_squares(self) -> float:
        """Total of the squares, for the payload alone."""
        return self.m2 + self.n * self.mean * self.mean

    def merge(self, other: "VariantAggregate") -> "VariantAggregate":
        """The aggregate of both samples together.

        Pairwise update of Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm for
        computing sample variances": exact in real arithmetic, commutative, associative up to rounding.
        """
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        delta = other.mean - self.mean
        mean = (self.n * self.mean + other.n * other.mean) / n
        return VariantAggregate(n=n, mean=mean, m2=self.m2 + other.m2 + delta * delta * (self.n / n) * other.n)

    @classmethod
    def of(cls, values: Iterable[float]) -> "VariantAggregate":
        """The aggregate of plain numbers, in two passes."""
        sample = list(values)
        if not sample:
            return EMPTY
        mean = math.fsum(sample) / len(sample)
        return cls(n=len(sample), mean=mean, m2=math.fsum((value - mean) ** 2 for value in sample))


EMPTY = VariantAggregate(n=0, mean=0.0, m2=0.0)


@dataclass(frozen=True, slots=True)
class MetricAggregates:
    """One metric's aggregates by variant key; None where the moments are too large for a float.

    invalid_values: events whose value was needed as a number and is none (rule E5), over all variants.
    """

    metric_id: int
    by_variant: dict[str, VariantAggregate | None]
    invalid_values: int = 0
