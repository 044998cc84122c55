"""What the sample that a design plans brings, against the floors of inference."""

import math
from collections.abc import Iterator
from statistics import NormalDist

from experiment_pipeline.domain.experiments import (
    CONTROL,
    Design,
    Experiment,
    SharesUnknown,
    VariantRole,
    expected_shares,
)
from experiment_pipeline.domain.floors import Floors, counted_by
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Retention

PLANNED_POWER = 0.8  # what the anytime-valid interval is tuned and measured at (docs/adr/0021)
PLANNED_SAMPLES = 1.6  # fixed samples in which the verdict reaches that power
ENOUGH_FLOORS = 2  # the floor should be reached early on, not at the planned end
RARE = 1e-6  # the share of buyers for which the fewest are needed; fewer change nothing


def floor_warnings(experiment: Experiment, floors: Floors) -> Iterator[str]:
    """Yield a warning where the planned sample hardly brings what the primary metric needs before it has a verdict."""
    design, metric = experiment.plan, experiment.metrics[0].metric if experiment.metrics else None
    if design.mde is None or not design.baseline or metric is None:
        return
    if metric.is_proportion and not 0 < design.baseline < 1:
        yield f"design.baseline: must lie between 0 and 1 for a primary metric that is {_share_words(metric)}"
        return
    floor, expected = floors.least(counted_by(metric)), _expected_nonzero(experiment, metric)
    if expected is None or expected >= ENOUGH_FLOORS * floor:
        return
    what = "conversions" if metric.is_proportion else "identities that are not 0"
    wider = "design.mde" if experiment.metrics[0].margin is None else "metrics[0].margin"
    yield (
        f"{wider}: the primary metric has no verdict before each arm has {floor} {what}, and {PLANNED_SAMPLES:g} "
        f"times the planned sample may bring as few as {expected:.0f} to an arm. Verdicts come later than planned, if "
        "at all: plan for a smaller one."
    )


def _share_words(metric: Metric) -> str:
    """Return what a share of identities is called, and whose share it is."""
    match metric.statistic:
        case Retention():
            return "a retention. It is the share of control's identities that come back."
        case Funnel():
            return "a funnel. It is the share of control's identities that reach the last step."
        case _:
            return "an occurrence. It is the share of control's identities that convert."


def _expected_nonzero(experiment: Experiment, metric: Metric) -> float | None:
    """Return how many identities of the smallest arm are not 0 at `PLANNED_SAMPLES` fixed samples; None if unknown.

    By control's mean alone, so for the values that need the smallest sample: conversions as they are, Poisson counts,
    and of sums and means rare identities that all have one value. Values that differ need more, and bring more.
    """
    design, ratio = experiment.plan, smallest_ratio(experiment)
    if ratio is None or design.mde is None or not design.baseline:
        return None
    shape = _nonzero_share(abs(design.baseline), metric, design.standard_deviation)
    if shape is None:
        return None
    share, relative_variance = shape
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - design.alpha / 2) + normal.inv_cdf(PLANNED_POWER)
    in_effects = quantiles / design.mde
    control = in_effects * in_effects * relative_variance * (1 + 1 / ratio)  # as `stats.power.sample_size`
    return PLANNED_SAMPLES * share * min(1.0, ratio) * control


def _nonzero_share(baseline: float, metric: Metric, deviation: float | None) -> tuple[float, float] | None:
    """Return the share of identities that are not 0, and the variance of a value in squared means.

    With the standard deviation that a design names it is the least share that a mean and a variance leave: at least
    `mean^2 / (mean^2 + variance)` of the identities are not 0 (the inequality of Cauchy and Schwarz). None where a mean
    tells nothing of the variance, and no standard deviation is named: of values that every identity in the metric has,
    of ratios, and of quantiles.
    """
    if metric.is_proportion:
        return baseline, (1 - baseline) / baseline
    if deviation and isinstance(metric.statistic, Mean):
        in_means = deviation / baseline
        relative_variance = in_means * in_means
        return (1 / (1 + relative_variance), relative_variance) if math.isfinite(relative_variance) else None
    match metric.statistic:
        case Mean(measure) if measure.may_lack_value:
            return None
        case Mean(measure) if measure.aggregation.reduction.is_count:
            return -math.expm1(-baseline), 1 / baseline
        case Mean():
            return RARE, (1 - RARE) / RARE
        case _:
            return None


def planned_deviation(design: Design, metric: Metric) -> float | None:
    """Return the standard deviation of an identity's part in a metric, as the design has it; None where it has none.

    Of a share of identities it follows from the baseline: `sqrt(p (1 - p))`.
    """
    if not metric.is_proportion:
        return design.standard_deviation
    if design.baseline is None or not 0 < design.baseline < 1:
        return None
    return math.sqrt(design.baseline * (1 - design.baseline))


def smallest_ratio(experiment: Experiment) -> float | None:
    """Return the smallest treatment's share in shares of control; None where an arm has none, or shares are unknown."""
    shares = expected_shares(experiment.variants)
    if isinstance(shares, SharesUnknown) or not shares.get(CONTROL):
        return None
    treatments = [v.key for v in experiment.variants if v.role is VariantRole.TREATMENT and v.key is not None]
    ratios = [shares[key] / shares[CONTROL] for key in treatments if shares[key] > 0]
    return min(ratios, default=None)
