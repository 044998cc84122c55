"""Achieved power: the smallest lifts that an experiment detects by now, and how far it is from its planned end.

It is no "observed power", which is the p-value in other words: the effect that was found is not read.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from typing_extensions import TypedDict

from experiment_pipeline.domain.experiments import CONTROL, Design, Experiment, VariantRole
from experiment_pipeline.domain.planned_sample import planned_deviation, smallest_ratio
from experiment_pipeline.domain.refresh import ComputationState
from experiment_pipeline.errors import Conflict
from experiment_pipeline.results.comparison_payload import ProgressPayload
from experiment_pipeline.results.sample_plan import every_look_factor
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.power import SampleSize, arm_sizes, detectable_lift
from experiment_pipeline.times import iso_utc

Payload = Mapping[str, Any]


class LiftsPayload(TypedDict):
    """Relative lifts that a comparison detects with the design's power.

    `once` if the data are looked at now and never again, `every_look` by the verdict. What is withheld is null.
    """

    adjusted: bool
    once: float | None
    every_look: float | None
    reason: str | None


class AchievedPayload(TypedDict):
    """One treatment on one metric; `progress` of the primary metric alone, as results have it."""

    lifts: list[LiftsPayload]
    progress: ProgressPayload | None


class AchievedMetricPayload(TypedDict):
    """One metric, by treatment."""

    metric_id: int
    name: str | None
    treatments: dict[str, AchievedPayload]


class PlannedPayload(TypedDict):
    """The sample that the design plans for the primary metric: identities of control and of the smallest treatment.

    `every_look` is the verdict's, which may be looked at after every refresh. `mde` is the design's, or the margin of a
    primary metric that has one.
    """

    mde: float | None
    once: dict[str, int] | None
    every_look: dict[str, int] | None
    reason: str | None


class AchievedPowerPayload(TypedDict):
    """The power of an experiment, from the results that were published last; `as_of` is theirs."""

    as_of: str
    alpha: float
    power: float
    planned: PlannedPayload
    metrics: list[AchievedMetricPayload]


def published_power(experiment: Experiment, results: ComputationState) -> AchievedPowerPayload:
    """Return what an experiment detects by the results that were published last. Raises Conflict before any were."""
    if results.payload is None or results.as_of is None:
        raise Conflict(f"No results of '{experiment.key}' are published yet. Ask for a refresh: POST results/refresh/.")
    return achieved_power(experiment, results.payload, results.as_of)


def achieved_power(experiment: Experiment, payload: Payload, as_of: datetime) -> AchievedPowerPayload:
    """Return what an experiment detects by now.

    Args:
        experiment: with its design.
        payload: the results that were published last.
        as_of: the end of their window.
    """
    treatments = sum(each.role is VariantRole.TREATMENT for each in experiment.variants)
    return {
        "as_of": iso_utc(as_of),
        "alpha": experiment.design.alpha,
        "power": experiment.design.power,
        "planned": _planned(experiment, treatments),
        "metrics": [_metric(each, experiment, treatments) for each in payload["metrics"]],
    }


def _planned(experiment: Experiment, treatments: int) -> PlannedPayload:
    plan = experiment.plan
    once, single = (planned_sizes(experiment, plan.alpha / of) for of in (max(1, treatments), 1))
    factor = _factor(experiment, treatments, is_primary=True)
    withheld = next((each.reason for each in (once, single, factor) if isinstance(each, NotComputable)), None)
    every_look = None
    if not isinstance(single, NotComputable) and not isinstance(factor, NotComputable):
        every_look = _by_arm(single, factor)
    return {
        "mde": plan.mde,
        "once": None if isinstance(once, NotComputable) else _by_arm(once),
        "every_look": every_look,
        "reason": withheld,
    }


def planned_sizes(experiment: Experiment, alpha: float) -> SampleSize | NotComputable:
    """Return the identities that the design plans for the primary metric, of control and of the smallest treatment.

    Withheld: `design_incomplete`, without `mde`, `baseline` and, where the metric is no share of identities,
    `standard_deviation`; and what withholds `arm_sizes`.

    Args:
        experiment: with its design, its metrics and its variants.
        alpha: of one comparison.
    """
    design, ratio = experiment.plan, smallest_ratio(experiment)
    metric = experiment.metrics[0].metric if experiment.metrics else None
    deviation = None if metric is None else planned_deviation(design, metric)
    if design.mde is None or design.baseline is None or deviation is None or ratio is None:
        return NotComputable("design_incomplete")
    return arm_sizes(
        standard_deviation=deviation,
        level=design.baseline,
        mde=design.mde,
        alpha=alpha,
        power=design.power,
        ratio=ratio,
    )


def _factor(experiment: Experiment, treatments: int, *, is_primary: bool) -> float | NotComputable:
    """Return how many fixed samples the verdict takes; of planned looks, which the primary one may have, unknown."""
    if is_primary and experiment.has_planned_looks:
        return NotComputable("no_factor_for_planned_looks")
    return every_look_factor(experiment.design.alpha, experiment.design.power, max(1, treatments))


def _by_arm(size: SampleSize, factor: float = 1.0) -> dict[str, int]:
    return {"control": math.ceil(factor * size.control), "treatment": math.ceil(factor * size.treatment)}


def _metric(metric: Payload, experiment: Experiment, treatments: int) -> AchievedMetricPayload:
    progress: Mapping[str, ProgressPayload] = metric.get("progress") or {}
    control = value_of(metric["variants"].get(CONTROL))
    is_primary = metric["metric_id"] in [each.metric.id for each in experiment.metrics[:1]]
    factor = _factor(experiment, treatments, is_primary=is_primary)
    return {
        "metric_id": metric["metric_id"],
        "name": metric.get("name"),
        "treatments": {
            treatment: {
                "lifts": [
                    _lifts(error, control, experiment.design, treatments, factor, adjusted=adjusted)
                    for adjusted, error in _errors(metric, treatment)
                ],
                "progress": progress.get(treatment),
            }
            for treatment in metric["verdict"]
        },
    }


def _errors(metric: Payload, treatment: str) -> Iterator[tuple[bool, float | NotComputable]]:
    """Yield the standard error of each reading, or why there is none; whether the reading is adjusted first."""
    errors: Mapping[str, float | None] = metric.get("standard_error") or {}
    plain = errors.get(treatment)
    yield False, NotComputable(metric["reason"].get(treatment) or "not_published") if plain is None else plain
    adjusted = (metric.get("adjusted") or {}).get(treatment)
    if adjusted is not None:
        error = adjusted["standard_error"]
        yield True, NotComputable(adjusted["reason"] or "not_published") if error is None else error


def _lifts(
    error: float | NotComputable,
    level: float | None,
    design: Design,
    treatments: int,
    factor: float | NotComputable,
    *,
    adjusted: bool,
) -> LiftsPayload:
    if isinstance(error, NotComputable) or level is None:
        reason = error.reason if isinstance(error, NotComputable) else "out_of_range"
        return {"adjusted": adjusted, "once": None, "every_look": None, "reason": reason}
    once = detectable_lift(error, level, alpha=design.alpha / treatments, power=design.power)
    single = detectable_lift(error, level, alpha=design.alpha, power=design.power)
    if isinstance(once, NotComputable) or isinstance(single, NotComputable):
        reason = next(each.reason for each in (once, single) if isinstance(each, NotComputable))
        return {"adjusted": adjusted, "once": None, "every_look": None, "reason": reason}
    if isinstance(factor, NotComputable):
        return {"adjusted": adjusted, "once": once, "every_look": None, "reason": factor.reason}
    return {"adjusted": adjusted, "once": once, "every_look": single * math.sqrt(factor), "reason": None}


def value_of(variant: Payload | None) -> float | None:
    """Return what a metric comes to in a variant of a payload; None where it cannot be given."""
    if variant is None:
        return None
    if "value" in variant:
        value: float | None = variant["value"]
        return value
    return None if not variant["n"] or variant["sum"] is None else variant["sum"] / variant["n"]
