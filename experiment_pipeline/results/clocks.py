"""Clocks: how the evidence of each metric accrues (rule C1)."""

from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.domain.metrics import Maturity, Metric, Quantile, Ratio

REPLACING = (Clock.REPLACED, Clock.EXTREMES)


def clock_of(metric: Metric) -> Clock:
    """Return how the evidence of a metric accrues (rule C1)."""
    if metric.is_proportion:
        return Clock.ODDS
    clocks = [measure.aggregation.reduction.clock for measure in metric.measures]
    replacing = next((clock for clock in REPLACING if clock in clocks), None)
    is_final = metric.maturity is Maturity.COMPLETE
    if isinstance(metric.statistic, Ratio | Quantile):
        return Clock.INFORMATION if is_final or replacing is None else replacing
    if replacing is not None:
        return Clock.IDENTITIES if is_final else replacing
    return clocks[0]
