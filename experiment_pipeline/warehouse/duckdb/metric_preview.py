"""Previews of one metric: all variants together, and the distribution of its values (rules M2-M14)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.metric_preview import POOLED, MetricPreview
from experiment_pipeline.domain.metrics import Metric, Quantile
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.event_scan import ArmKey, EventScan, ScannedRange
from experiment_pipeline.warehouse.duckdb.metric_aggregation import (
    MetricAggregation,
    MetricRange,
    numbers_of,
    pooled_values,
)
from experiment_pipeline.warehouse.duckdb.metric_values import UNBOUNDED
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments
from experiment_pipeline.warehouse.duckdb.readings import readings
from experiment_pipeline.warehouse.duckdb.value_distribution import distribution
from experiment_pipeline.warehouse.frame_schemas import frame_of, metric_aggregates

EVERYBODY: ArmKey = (None, 0)


def as_one_arm(scanned: ScannedRange) -> ScannedRange:
    """Return a range with the identities of all its arms as one."""
    of_arms = [numbers for (group, _), numbers in scanned.members.items() if group is None]
    return replace(scanned, members={EVERYBODY: np.sort(np.concatenate(of_arms))})


def previewed(
    scope: AnalysisScope,
    metric: Metric,
    identities: int,
    scans: Sequence[EventScan],
    on_identities: Callable[[int, int], None],
) -> MetricPreview:
    """Return the preview of a metric, read range by range.

    Args:
        scope: of the identities.
        metric: the metric.
        identities: how many there are.
        scans: of the ranges.
        on_identities: told how many identities of how many are done.
    """
    done, sliced = 0, [(metric, None)]
    on_disk, as_of = len(scans) > 1, scope.window.as_of
    with MetricAggregation(sliced, as_of, on_disk=on_disk, keeps_values=True) as aggregation:
        on_identities(0, identities)
        for scan in scans:
            scanned = scan.scanned(readings(sliced))
            aggregation.add(as_one_arm(scanned))
            done += len(scanned.population)
            on_identities(done, identities)
        return metric_preview(aggregation, scope, metric, identities)


def metric_preview(
    aggregation: MetricAggregation, scope: AnalysisScope, metric: Metric, identities: int
) -> MetricPreview:
    """Return the preview of a metric, whose values are kept, over all ranges.

    Args:
        aggregation: of the metric as a whole, with every range as one arm.
        scope: of the identities.
        metric: the metric.
        identities: how many there are.
    """
    ranges = aggregation.ranges((metric, None))
    (aggregates,) = metric_aggregates(frame_of("variant_aggregates", aggregation.rows([POOLED])))
    return MetricPreview(
        window=scope.window,
        data_version=scope.data_version,
        identities=identities,
        aggregates=aggregates,
        values=distribution(_values(ranges)),
        second_values=distribution(pooled_values(ranges, "x")),
        uncapped=_uncapped(metric, ranges, aggregates),
    )


def _values(ranges: Sequence[MetricRange]) -> list[Floats]:
    """Return the values of identities, or of events where the metric is over those."""
    if any(each.values.event_numbers is not None for each in ranges):
        return [numbers for _, numbers, _ in (numbers_of(each, EVERYBODY) for each in ranges)]
    return pooled_values(ranges, "y")


def _uncapped(metric: Metric, ranges: Sequence[MetricRange], aggregates: MetricAggregates) -> MetricAggregates | None:
    """Return the moments without cap and floor; None where there are none, and of a quantile."""
    is_bounded = any(each.cap is not None or each.floor is not None for each in metric.measures)
    if isinstance(metric.statistic, Quantile) or not is_bounded:
        return None
    moments = [each.values.moments(each.members[EVERYBODY], UNBOUNDED, UNBOUNDED) for each in ranges]
    together = reduce(ArmMoments.merge, moments)
    return replace(
        aggregates,
        by_variant={POOLED: together.y.aggregate},
        joint={} if together.x is None else {POOLED: together.joint},
        bounds=None,
        joint_bounds=None,
    )
