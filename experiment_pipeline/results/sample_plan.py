"""Sample plans: identities, days and detectable effects of an experiment, from what was measured of its metric.

`once` is a test that is looked at once, at the planned end, where each of k treatments is judged at alpha / k, as
Holm's procedure does at first. `every_look` is the verdict, which holds at every refresh and takes more: by factors
that were computed for 80 % power at an alpha of 5 %, so that other designs have none.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import TypedDict

from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MetricMeasurement
from experiment_pipeline.domain.metrics import Maturity, Mean, Metric
from experiment_pipeline.domain.power_request import PowerRequest
from experiment_pipeline.domain.several_treatments import sample_factor
from experiment_pipeline.errors import ConfigurationError, Conflict
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.power import arm_sizes, detectable_lift
from experiment_pipeline.times import iso_utc

FACTORS_HOLD_AT = (0.05, 0.8)  # alpha and power
WEEKS = (1, 2, 4, 8)
DAY = timedelta(days=1)


class SamplePayload(TypedDict):
    """The sample of a plan. `identities` are all that have to come, of all variants; what is withheld is null."""

    per_variant: int | None
    identities: int | None
    days: float | None
    reason: str | None


class DetectablePayload(TypedDict):
    """The smallest relative lift that is found after so many days; what is withheld is null."""

    days: int
    identities: int
    once: float | None
    every_look: float | None
    reason: str | None


class ReadingPayload(TypedDict):
    """One reading of the metric: adjusted for the pre-period or not, with its cap and floor or without.

    `level` is its mean, ratio or quantile, `standard_deviation` that of one identity's part in it, what the pre-period
    explains taken out. `once` and `every_look` are null where no `mde` was given.
    """

    adjusted: bool
    capped: bool
    level: float
    standard_deviation: float
    variance_reduction: float | None
    once: SamplePayload | None
    every_look: SamplePayload | None
    detectable: list[DetectablePayload]


class MeasuredPayload(TypedDict):
    """The measurement that a plan is made from; `experiment_id` is null for everybody in the environment."""

    source: str
    measured_at: str
    started_at: str
    as_of: str
    data_version: int
    experiment_id: int | None
    identities: int
    identities_per_day: float | None
    share_in_metric: float


class PlanPayload(TypedDict):
    """The plan of an experiment, by reading of its metric.

    `once` is of a test that is looked at once, at the end, each treatment at `alpha` over their number; `every_look` is
    the verdict, which may be looked at after every refresh. `traffic` is in new identities a day.
    """

    metric_id: int
    metric: str
    alpha: float
    power: float
    variants: int
    mde: float | None
    traffic: float | None
    measured: MeasuredPayload
    readings: list[ReadingPayload]


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a metric that was measured."""

    adjusted: bool
    capped: bool
    statistic: MeasuredStatistic


def sample_plan(metric: Metric, measurements: Iterable[MetricMeasurement], request: PowerRequest) -> PlanPayload:
    """Return the plan that is asked for, from the newest measurement that has a reading as it asks for.

    Args:
        metric: the metric.
        measurements: of it, the newest first.
        request: what is asked for, checked.

    Raises:
        Conflict: no measurement has such a reading; says what to run.
        ConfigurationError: the metric has no pre-period, or no cap and floor, and a reading with it is asked for.
    """
    _require_declared(metric, request)
    for measured in measurements:
        if readings := list(_readings(metric, measured, request)):
            return _plan_payload(metric, measured, readings, request)
    without = "" if request.cap is None else f" {'with' if request.cap else 'without'} its cap and floor"
    of = f"'{metric.name}'{' with a pre-period that varies' if request.covariate else ''}{without}"
    raise Conflict(
        f"Nothing is measured of {of}, as it is defined now. Run `experiment-pipeline metrics preview {metric.name}`, "
        "or refresh an experiment that uses it."
    )


def _require_declared(metric: Metric, request: PowerRequest) -> None:
    if request.covariate and not (isinstance(metric.statistic, Mean) and metric.statistic.covariate_before):
        raise ConfigurationError.of("covariate", f"'{metric.name}' has no pre-period to be adjusted for.")
    if request.cap and not _is_bounded(metric):
        raise ConfigurationError.of("cap", f"'{metric.name}' has no cap and no floor.")


def _is_bounded(metric: Metric) -> bool:
    return any(measure.cap is not None or measure.floor is not None for measure in metric.measures)


def _readings(metric: Metric, measured: MetricMeasurement, request: PowerRequest) -> Iterator[Reading]:
    """Yield the readings that a measurement has, as far as they are asked for."""
    is_bounded = _is_bounded(metric)
    of_bounds = {is_bounded: measured.statistic}
    if is_bounded and measured.uncapped is not None:
        of_bounds[False] = measured.uncapped
    for capped, statistic in of_bounds.items():
        for adjusted in (False, True):
            has = statistic.variance_reduction is not None or not adjusted
            if has and request.covariate in (None, adjusted) and request.cap in (None, capped):
                yield Reading(adjusted, capped, statistic)


def _plan_payload(
    metric: Metric, measured: MetricMeasurement, readings: list[Reading], request: PowerRequest
) -> PlanPayload:
    traffic = request.traffic or measured.identities_per_day or None
    plan = _Plan(request, traffic, measured.share_in_metric, _wait(metric))
    return {
        "metric_id": metric.id,
        "metric": metric.name,
        "alpha": request.alpha,
        "power": request.power,
        "variants": request.variants,
        "mde": request.mde,
        "traffic": traffic,
        "measured": {
            "source": measured.source.value,
            "measured_at": iso_utc(measured.measured_at),
            "started_at": iso_utc(measured.window.started_at),
            "as_of": iso_utc(measured.window.as_of),
            "data_version": measured.data_version,
            "experiment_id": measured.experiment_id,
            "identities": measured.identities,
            "identities_per_day": measured.identities_per_day,
            "share_in_metric": measured.share_in_metric,
        },
        "readings": [plan.reading(each) for each in readings],
    }


def _wait(metric: Metric) -> float:
    """Return how many days an identity comes before it counts: its whole window, where only complete ones count."""
    if metric.maturity is Maturity.ALL:
        return 0.0
    ends = [events.window.end for events in metric.events if events.window.end is not None]
    return max(ends, default=timedelta(0)) / DAY


@dataclass(frozen=True, slots=True)
class _Plan:
    """The parts that all readings of one plan share; `wait` is in days."""

    request: PowerRequest
    traffic: float | None
    share: float
    wait: float

    def reading(self, of: Reading) -> ReadingPayload:
        deviation = math.sqrt(of.statistic.variance(adjusted=of.adjusted) or 0.0)
        level, mde = of.statistic.aggregate.mean, self.request.mde
        return {
            "adjusted": of.adjusted,
            "capped": of.capped,
            "level": level,
            "standard_deviation": deviation,
            "variance_reduction": of.statistic.variance_reduction if of.adjusted else None,
            "once": None if mde is None else self._sample(self._once(deviation, level, mde)),
            "every_look": None if mde is None else self._sample(self._every_look(deviation, level, mde)),
            "detectable": [self._detectable(7 * weeks, deviation, level) for weeks in WEEKS] if self.traffic else [],
        }

    def _once(self, deviation: float, level: float, mde: float) -> int | NotComputable:
        return self._per_variant(deviation, level, mde, self.request.alpha / self.request.treatments)

    def _every_look(self, deviation: float, level: float, mde: float) -> int | NotComputable:
        single = self._per_variant(deviation, level, mde, self.request.alpha)
        factor = self._factor
        if isinstance(single, NotComputable):
            return single
        return factor if isinstance(factor, NotComputable) else math.ceil(factor * single)

    @property
    def _factor(self) -> float | NotComputable:
        return every_look_factor(self.request.alpha, self.request.power, self.request.treatments)

    def _per_variant(self, deviation: float, level: float, mde: float, alpha: float) -> int | NotComputable:
        found = arm_sizes(standard_deviation=deviation, level=level, mde=mde, alpha=alpha, power=self.request.power)
        return found if isinstance(found, NotComputable) else found.control

    def _sample(self, per_variant: int | NotComputable) -> SamplePayload:
        if isinstance(per_variant, NotComputable):
            return {"per_variant": None, "identities": None, "days": None, "reason": per_variant.reason}
        identities = math.ceil(per_variant * self.request.variants / self.share)
        days = None if self.traffic is None else identities / self.traffic + self.wait
        reason = "no_traffic_yet" if days is None else None
        return {"per_variant": per_variant, "identities": identities, "days": days, "reason": reason}

    def _detectable(self, days: int, deviation: float, level: float) -> DetectablePayload:
        identities = math.floor((self.traffic or 0.0) * max(0.0, days - self.wait))
        per_variant = math.floor(identities * self.share / self.request.variants)
        few, alpha = NotComputable("fewer_than_two_identities"), self.request.alpha
        error = deviation * math.sqrt(2 / per_variant) if per_variant else 0.0

        def lift(alpha: float) -> float | NotComputable:
            return detectable_lift(error, level, alpha=alpha, power=self.request.power) if per_variant > 1 else few

        once, single, factor = lift(alpha / self.request.treatments), lift(alpha), self._factor
        withheld = next((each.reason for each in (once, single, factor) if isinstance(each, NotComputable)), None)
        every_look = None
        if not isinstance(single, NotComputable) and not isinstance(factor, NotComputable):
            every_look = single * math.sqrt(factor)
        return {
            "days": days,
            "identities": identities,
            "once": None if isinstance(once, NotComputable) else once,
            "every_look": every_look,
            "reason": withheld,
        }


def every_look_factor(alpha: float, power: float, treatments: int) -> float | NotComputable:
    """Return how many fixed samples of one treatment the verdict takes; withheld: `no_factor_for_this_design`."""
    if (alpha, power) != FACTORS_HOLD_AT:
        return NotComputable("no_factor_for_this_design")
    return sample_factor(treatments)
