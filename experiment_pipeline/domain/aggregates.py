"""Aggregates: what inference needs of one variant and one metric, `(n, mean, m2)` (rule M5).

Moments are centred where they are computed (in the engine) and merged pairwise. Sums of squares are derived for
the payload and never used to get a variance back: at mean 1e9 and sd 1 they would give 168 or 0 instead of 1.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from experiment_pipeline.domain.field_types import FieldTypes
from experiment_pipeline.domain.self_check import SelfCheck

LARGEST_COUNT = 2**53  # beyond it a float cannot tell two counts apart
ROUNDING = 1e-12  # engines agree on moments to this relative accuracy (rule X5)
LARGEST_SHARE = 1e9  # of a total; where it is nearly 0, no larger one says more
TOLERATED_UNREADABLE = 100  # one value in a hundred; rule E5


@dataclass(frozen=True, slots=True)
class VariantAggregate:
    """Moments of one per-identity value over every analysed identity of a variant.

    Attributes:
        n: identities, those without events included (rule M4); n >= 0.
        mean: arithmetic mean, in the metric's unit; 0 when n is 0.
        m2: sum of squared deviations from the mean, in the unit squared; >= 0.

    Raises:
        ValueError: n, mean or m2 is out of its range, or not finite.
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
        """Return the aggregate of both samples together.

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
        """Return the aggregate of plain numbers, computed in two passes."""
        sample = list(values)
        if not sample:
            return EMPTY
        mean = math.fsum(sample) / len(sample)
        return cls(n=len(sample), mean=mean, m2=math.fsum((value - mean) ** 2 for value in sample))


EMPTY = VariantAggregate(n=0, mean=0.0, m2=0.0)


@dataclass(frozen=True, slots=True)
class PairAggregate:
    """Joint moments of two per-identity values: what ratio metrics and pre-period adjustment need of one variant.

    Attributes:
        mean_x: of the denominator of a ratio, or of the metric over the pre-period; `m2_x` likewise.
        mean_y: of the numerator, or of the metric itself; `m2_y` likewise.
        c_xy: sum of products of the deviations from both means.
    """

    n: int
    mean_x: float
    mean_y: float
    m2_x: float
    m2_y: float
    c_xy: float

    def __post_init__(self) -> None:
        VariantAggregate(self.n, self.mean_x, self.m2_x)
        VariantAggregate(self.n, self.mean_y, self.m2_y)
        if not math.isfinite(self.c_xy):
            raise ValueError(f"c_xy: must be finite, got {self.c_xy}")

    def residual_m2(self, slope: float) -> float:
        """Return the sum of squared deviations of `y - slope x`: `m2_y - 2 slope c_xy + slope^2 m2_x`.

        It is inf if it is too large for a float, and 0 if the three terms cancel up to the rounding of moments.
        """
        explained = slope * slope * self.m2_x
        m2 = self.m2_y - 2 * slope * self.c_xy + explained
        if not math.isfinite(m2):
            return math.inf
        return m2 if m2 > ROUNDING * (self.m2_y + explained) else 0.0

    def merge(self, other: "PairAggregate") -> "PairAggregate":
        """Return the joint moments of both samples together, by the same update (Chan, Golub and LeVeque 1979)."""
        x = VariantAggregate(self.n, self.mean_x, self.m2_x).merge(VariantAggregate(other.n, other.mean_x, other.m2_x))
        y = VariantAggregate(self.n, self.mean_y, self.m2_y).merge(VariantAggregate(other.n, other.mean_y, other.m2_y))
        between = (other.mean_x - self.mean_x) * (other.mean_y - self.mean_y) * self.n * (other.n / max(1, x.n))
        return PairAggregate(x.n, x.mean, y.mean, x.m2, y.m2, self.c_xy + other.c_xy + between)

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> "PairAggregate":
        """Return the joint moments of plain `(x, y)` pairs, computed in two passes."""
        sample = list(pairs)
        x, y = VariantAggregate.of(x for x, _ in sample), VariantAggregate.of(y for _, y in sample)
        c_xy = math.fsum((a - x.mean) * (b - y.mean) for a, b in sample)
        return cls(x.n, x.mean, y.mean, x.m2, y.m2, c_xy)


@dataclass(frozen=True, slots=True)
class ValueSummary:
    """The numbers, beside the moments, of the values that the identities of one variant have in one metric.

    Attributes:
        nonzero: identities whose value is not 0.
        with_value: identities that have a value: of a mean those with a number among their events, otherwise all.
        largest: the largest value of an identity; None without identities, or where it is too large for a float.
        total: the sum over all identities, known also where m2 is too large for a float; None where it is itself.
    """

    nonzero: int
    with_value: int
    largest: float | None
    total: float | None

    @property
    def largest_share(self) -> float | None:
        """The part of the total that the identity with the largest value holds; None where the total is not positive.

        It is over 1 where other identities are negative.
        """
        if self.largest is None or self.total is None or self.total <= 0:
            return None
        return min(self.largest / self.total, LARGEST_SHARE)

    @classmethod
    def of_moments(cls, aggregate: VariantAggregate | None) -> "ValueSummary":
        """Return what moments alone tell, where nothing was counted.

        At least `(sum x)^2 / sum x^2` identities are not 0 (the inequality of Cauchy and Schwarz); more is not known.
        """
        if aggregate is None or aggregate.n == 0:
            return cls(nonzero=0, with_value=0, largest=None, total=None if aggregate is None else 0.0)
        size, spread = abs(aggregate.mean), math.sqrt(aggregate.m2 / aggregate.n)
        part = size / math.hypot(size, spread) if size else 0.0
        total = aggregate.sum if math.isfinite(aggregate.sum) else None
        return cls(math.floor(aggregate.n * part * part), aggregate.n, largest=None, total=total)


@dataclass(frozen=True, slots=True)
class QuantileEstimate:
    """The quantile of one variant, with the order statistics around it (rule M12).

    Attributes:
        n: identities.
        value: the quantile, by nearest rank.
        low: of its interval at 95 %; None where the interval reaches beyond the smallest value; `high` likewise.
    """

    n: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds that a metric's values were held to (rule M10).

    Attributes:
        cap: values above count as it; None for none. `floor` likewise below.
        capped: identities whose value was above the cap, by variant; `floored` likewise.
    """

    cap: float | None
    floor: float | None
    capped: dict[str, int]
    floored: dict[str, int]

    @property
    def leaves_one_value(self) -> bool:
        """Whether everybody counts as the same, whatever the values are: the floor is not below the cap, which wins."""
        return self.cap is not None and self.floor is not None and self.floor >= self.cap


UNCAPPED = "uncapped"  # the reading of a metric without its cap and floor


class Part(StrEnum):
    """The kinds of parts that a metric is also shown by: steps of a funnel, slices of events, values of a dimension.

    `sensitivity` is no part: it is the whole metric, read in another way than declared.
    """

    STEP = "step"
    SLICE = "slice"
    DIMENSION = "dimension"
    SENSITIVITY = "sensitivity"


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """One part of a metric (rules M14, M15, M18).

    Attributes:
        part: its kind.
        name: of the dimension; the path of the property that slices; the number of the step.
        value: of the dimension or the property; None where an identity or an event has none, and for `other`.
        is_other: whether it holds all values beyond the largest ones.
    """

    part: Part
    name: str
    value: str | None = None
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class MetricAggregates:
    """Aggregates of one metric, or of one part of it, by variant.

    Attributes:
        by_variant: of the metric's values; of a ratio, of its numerator. None where the moments are too large for a
            float.
        values: events whose value the metric reads as a number, by variant.
        invalid_values: those of them whose value is not a number (rule E5), by variant.
        of_identities: the other numbers of the identities' values, by variant, where they were counted.
        joint: `by_variant` (y) with the denominator of a ratio or the pre-period of the metric (x); empty for others.
        nonzero_x: identities whose denominator, or pre-period, is not 0, by variant; empty for other metrics.
        quantiles: of a quantile; None where a variant has no value. Empty for others.
        identities: analysed identities whose window has ended, by variant, those without a value included (rule M6);
            empty where they are the `n` of the aggregates.
        not_mature: identities that wait for their window to end, by variant (rule M8); empty where none are left out.
        bounds: None where there are none; of a ratio, those of its numerator.
        joint_bounds: of the denominator of a ratio, or of the metric over its pre-period.
        groups: the same of every part, without parts of their own.
        with_event: identities with an event that counts, by variant; empty where that was not counted.
        sensitivity: the same of the metric read in other ways, by their names: `UNCAPPED`, and the policy of rule X3
            that the experiment does not have; empty where it was not asked for.
        mixed_fields: properties of its events, by which these are chosen or sliced, that came in several types.
        self_check: of the control arm; None where it was not asked for.
    """

    metric_id: int
    by_variant: dict[str, VariantAggregate | None]
    values: dict[str, int] = field(default_factory=dict)
    invalid_values: dict[str, int] = field(default_factory=dict)
    of_identities: dict[str, ValueSummary] = field(default_factory=dict)
    joint: dict[str, PairAggregate | None] = field(default_factory=dict)
    nonzero_x: dict[str, int] = field(default_factory=dict)
    quantiles: dict[str, QuantileEstimate | None] = field(default_factory=dict)
    identities: dict[str, int] = field(default_factory=dict)
    not_mature: dict[str, int] = field(default_factory=dict)
    bounds: Bounds | None = None
    joint_bounds: Bounds | None = None
    groups: "dict[Group, MetricAggregates]" = field(default_factory=dict)
    with_event: dict[str, int] = field(default_factory=dict)
    sensitivity: "dict[str, MetricAggregates]" = field(default_factory=dict)
    mixed_fields: tuple[FieldTypes, ...] = ()
    self_check: SelfCheck | None = None


def are_unreadable(values: int, invalid_values: int) -> bool:
    """Return whether more than 1 % of an arm's values are not numbers, so that there is no verdict (rule E5)."""
    return invalid_values * TOLERATED_UNREADABLE > values
