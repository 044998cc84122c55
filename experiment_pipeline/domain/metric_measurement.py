"""Measurements: a metric's level and spread, as a preview or a refresh found them, for planning experiments."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.exposures import Window


class MeasurementSource(StrEnum):
    """The origin of a measurement."""

    PREVIEW = "preview"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class MeasuredStatistic:
    """The statistic of a metric, measured.

    Attributes:
        aggregate: the statistic as an aggregate: its mean is the mean, ratio or quantile, its variance the variance of
            one identity's contribution, so that `variance / n` is the square of the standard error.
        pre_period: the metric with its pre-period, where it has one (rule M11).
    """

    aggregate: VariantAggregate
    pre_period: PairAggregate | None = None

    @property
    def variance_reduction(self) -> float | None:
        """Share of the variance that the pre-period explains; None without one, or where either has no variance."""
        joint = self.pre_period
        if joint is None or not joint.m2_x or not joint.m2_y:
            return None
        return min(1.0, (joint.c_xy / joint.m2_x) * (joint.c_xy / joint.m2_y))

    @property
    def correlation(self) -> float | None:
        """Correlation of the metric with itself over the pre-period; None as `variance_reduction`."""
        if self.variance_reduction is None or self.pre_period is None:
            return None
        return math.copysign(math.sqrt(self.variance_reduction), self.pre_period.c_xy)

    @property
    def standard_deviation(self) -> float:
        """Standard deviation of one identity's contribution, as the metric is; 0 below two identities."""
        return math.sqrt(self.aggregate.variance or 0.0)

    def variance(self, *, adjusted: bool) -> float | None:
        """Return the variance of one identity's contribution; None below two identities.

        Args:
            adjusted: whether what the pre-period explains is taken out; without effect where there is none.
        """
        variance = self.aggregate.variance
        if variance is None or not adjusted:
            return variance
        return variance * (1 - (self.variance_reduction or 0.0))


@dataclass(frozen=True, slots=True)
class MetricMeasurement:
    """One measurement of a metric.

    Attributes:
        metric_id: of the metric.
        definition: canonical; a measurement of another definition than the metric has now says nothing of it.
        source: what has measured.
        measured_at: when, UTC.
        window: in which identities came and events counted.
        data_version: of the lake.
        identities: all that came in the window, whose windows have ended or not.
        statistic: as the metric is declared.
        uncapped: without cap and floor; None where there are none, or where it is not known.
        cap: as a number; None for none. `floor` likewise.
        experiment_id: whose identities these are; None for everybody in the environment.
        phase: of the experiment; each has a measurement of its own (rule X9).
        share_in_metric: share of the identities that the metric is over; below 1 where those without a value are left
            out (rule M6).
    """

    metric_id: int
    definition: dict[str, Any]
    source: MeasurementSource
    measured_at: datetime
    window: Window
    data_version: int
    identities: int
    statistic: MeasuredStatistic
    uncapped: MeasuredStatistic | None = None
    cap: float | None = None
    floor: float | None = None
    experiment_id: int | None = None
    phase: int = 1
    share_in_metric: float = 1.0

    @property
    def identities_per_day(self) -> float | None:
        """New identities a day, on average over the window; None where the window is empty."""
        days = self.window.days
        return self.identities / days if days else None
