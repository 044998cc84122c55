"""Previews: the numbers that a metric gives over identities of the recent past, before it is used (rules M2-M14)."""

from collections.abc import Iterator
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import MetricAggregates, are_unreadable
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metrics import Mean, Metric, Ratio
from experiment_pipeline.domain.texts import quoted

POOLED = "everybody"  # in place of a variant: all variants together
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class ValueCount:
    """One value, and how many identities (or events) have it."""

    value: float
    count: int


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a histogram, half-open; `high` None: no end."""

    low: float
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values of identities (of single events, where a metric is over these), before any cap or floor.

    Attributes:
        n: finite values; at least one.
        zeros: values that are 0.
        smallest: of them; `largest` likewise.
        quantiles: the values at `QUANTILES`, by nearest rank.
        top: the most frequent values of those that several have, the most frequent one first, of equally frequent ones
            the smallest.
        bins: a histogram of the values that are not 0; empty where there are only a few values.
        too_large: values too large for a float, which nothing else counts.
    """

    n: int
    zeros: int
    smallest: float
    largest: float
    quantiles: tuple[float, ...]
    top: tuple[ValueCount, ...]
    bins: tuple[Bin, ...] = ()
    too_large: int = 0


@dataclass(frozen=True, slots=True)
class MetricPreview:
    """One metric over identities, all variants together.

    Attributes:
        window: in which they came, and in which events count.
        identities: all of them, with those whose window has not ended.
        aggregates: as a refresh would have them, of the one variant `POOLED`; steps of a funnel are its groups.
        values: of the metric; of a ratio, of its numerator. None where no identity has a value.
        second_values: of the denominator of a ratio, or of the metric over its pre-period; None for others.
        uncapped: the aggregates without cap and floor; None where there are none, and of a quantile.
    """

    window: Window
    data_version: int
    identities: int
    aggregates: MetricAggregates
    values: Distribution | None
    second_values: Distribution | None = None
    uncapped: MetricAggregates | None = None

    @property
    def n(self) -> int:
        """Identities that the metric is over: those that have a value, and whose window has ended (rules M6, M8)."""
        aggregate = self.aggregates.by_variant.get(POOLED)
        return 0 if aggregate is None else aggregate.n

    @property
    def mature(self) -> int:
        """Identities whose window has ended; all of them where the metric does not ask for that (rule M8)."""
        return self.identities - self.aggregates.not_mature.get(POOLED, 0)

    @property
    def counts_nothing(self) -> bool:
        """Whether no event counted: no identity has a value that is not 0."""
        return self.values is None or self.values.zeros == self.values.n

    def warnings(self, metric: Metric) -> Iterator[str]:
        """Yield a sentence for each thing that results would suffer from."""
        counted = self.aggregates
        values, invalid = counted.values.get(POOLED, 0), counted.invalid_values.get(POOLED, 0)
        if not self.mature:
            yield "No identity's window has ended, so the metric is over nobody yet. Look at more days."
        elif self.counts_nothing:
            yield f"No event counted: {'every value is 0' if self.n else 'no identity has a value'}."
        if are_unreadable(values, invalid):
            yield f"{invalid:,} of {values:,} values are not numbers: above 1 % there is no verdict (rule E5)."
        for mixed in counted.mixed_fields:
            types = " and ".join(f"{each} ({count:,} events)" for each, count in mixed.counts.items() if count)
            yield f"{mixed.path} of {quoted(mixed.event)} came as {types}: conditions compare one type (rule M7)."
        bounds = [counted.bounds, counted.joint_bounds if isinstance(metric.statistic, Ratio) else None]
        if any(each is not None and each.cap == 0 for each in bounds):
            yield "The cap is 0: the metric would be withheld (cap_is_zero). Add of_nonzero: true to the percentile."
        if any(each is not None and each.leaves_one_value for each in bounds):
            yield "The floor is not below the cap: the metric would be withheld (bounds_leave_one_value)."
        has_covariate = isinstance(metric.statistic, Mean) and metric.statistic.covariate_before is not None
        joint = counted.joint.get(POOLED)
        if has_covariate and self.n and joint is not None and not joint.m2_x:
            yield "All identities are alike in the pre-period: it explains nothing, and results would not be adjusted."
