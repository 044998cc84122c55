"""The sequential block of live statistics: how far the design's plan has come, and the boundary in force."""

import math
from collections.abc import Sequence
from enum import StrEnum

from typing_extensions import TypedDict

from experiment_pipeline.domain.experiments import CONTROL, Experiment, SharesUnknown, expected_shares
from experiment_pipeline.results.model import MetricResults, Progress
from experiment_pipeline.stats.evidence import planned_lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.planned_looks import PlannedLooks
from experiment_pipeline.stats.power import arm_sizes


class SequentialStatus(StrEnum):
    """The design looks once, has planned looks, or has none yet."""

    FIXED_HORIZON = "fixed_horizon"
    ACTIVE = "active"
    INSUFFICIENT = "insufficient_data"


class SequentialStats(TypedDict):
    """One treatment at its last planned look: z beside the boundary that it was compared with."""

    information_fraction: float | None
    boundary_z: float | None
    z: float | None
    crossed: bool | None
    reason: str | None


class SequentialBlock(TypedDict):
    """Distance from the planned end, and the planned looks.

    Of several treatments `information_fraction` is the smallest, `current_boundary_z` the largest boundary in force.
    `planned_sample_size_per_variant` is the planned sample over the number of variants.
    """

    status: SequentialStatus
    n_looks: int
    planned_sample_size_per_variant: int | None
    information_fraction: float | None
    current_boundary_z: float | None
    treatments: dict[str, SequentialStats]
    reason: str | None


NO_METRIC = NotComputable("no_metric")
NO_SHARES = NotComputable("shares_unknown")
NO_PLANNED_LOOKS = NotComputable("no_planned_looks")


def sequential_block(experiment: Experiment, metric: MetricResults | None) -> SequentialBlock:
    """Return how far the primary metric has come against the design, and its planned looks.

    Args:
        experiment: its design and the shares of its variants.
        metric: the primary one; None where there is none.
    """
    planned = NO_METRIC if metric is None else _planned_sample(experiment, metric)
    looks = {} if metric is None else {each.treatment: each.planned for each in metric.comparisons}
    treatments = {} if metric is None else {key: _stats(metric.progress[key], found) for key, found in looks.items()}
    fractions = [each["information_fraction"] for each in treatments.values()]
    known = [fraction for fraction in fractions if fraction is not None]
    boundaries = [each["boundary_z"] for each in treatments.values() if each["boundary_z"] is not None]
    status, withheld = _status(experiment, list(looks.values()))
    if withheld is None and isinstance(planned, NotComputable):
        withheld = planned
    if withheld is None and experiment.design.n_looks > 1 and not experiment.has_planned_looks:
        withheld = NO_PLANNED_LOOKS
    return {
        "status": status,
        "n_looks": experiment.design.n_looks,
        "planned_sample_size_per_variant": None if isinstance(planned, NotComputable) else planned,
        "information_fraction": min(known) if known and len(known) == len(fractions) else None,
        "current_boundary_z": max(boundaries, default=None),
        "treatments": treatments,
        "reason": None if withheld is None else withheld.reason,
    }


def _status(
    experiment: Experiment, looks: Sequence[PlannedLooks | None]
) -> tuple[SequentialStatus, NotComputable | None]:
    """Return the status of the block, and why there is no planned look where one is planned."""
    if experiment.design.n_looks == 1:
        return SequentialStatus.FIXED_HORIZON, None
    planned = [each for each in looks if each is not None]
    if any(each.looks for each in planned):
        return SequentialStatus.ACTIVE, None
    return SequentialStatus.INSUFFICIENT, next((each.withheld for each in planned), None)


def _stats(progress: Progress | NotComputable, planned: PlannedLooks | None) -> SequentialStats:
    stats: SequentialStats = {
        "information_fraction": None,
        "boundary_z": None,
        "z": None,
        "crossed": None,
        "reason": None,
    }
    if isinstance(progress, NotComputable):
        stats["reason"] = progress.reason
    else:
        stats["information_fraction"] = progress.information_fraction
    if planned is not None and planned.looks:
        last = planned.looks[-1]
        stats |= {"boundary_z": last.boundary, "z": last.z, "crossed": last.crossed, "reason": None}
    elif planned is not None and planned.withheld is not None:
        stats["reason"] = planned.withheld.reason
    return stats


def _planned_sample(experiment: Experiment, metric: MetricResults) -> int | NotComputable:
    """Return the planned sample over the number of variants, rounded up.

    Of shares of identities it follows from the design, of other metrics from its standard deviation, or where it names
    none from the variance that was observed so far.
    """
    design, shares = experiment.plan, expected_shares(experiment.variants)
    if planned_lift(design) is None or design.power <= design.alpha:
        return NotComputable("design_incomplete")
    if isinstance(shares, SharesUnknown) or min(shares.values()) <= 0:
        return NO_SHARES
    treatments = [key for key in shares if key != CONTROL]
    deviation, baseline = design.standard_deviation, design.baseline or 0.0
    if metric.attached.metric.is_proportion:
        deviation = math.sqrt(baseline * (1 - baseline)) if 0 < baseline < 1 else None
    totals = list[float]()
    for key in treatments:
        if deviation is None:
            total = _observed_total(metric.progress[key], shares[CONTROL] + shares[key])
        else:
            total = _planned_total(experiment, deviation, shares[CONTROL], shares[key])
        if isinstance(total, NotComputable):
            return total
        totals.append(total)
    return math.ceil(max(totals) / len(shares))


def _observed_total(progress: Progress | NotComputable, share: float) -> float | NotComputable:
    """Return the identities of all variants that a comparison needs, which this share of them is in."""
    needed = progress if isinstance(progress, NotComputable) else progress.identities_needed
    return needed if isinstance(needed, NotComputable) else needed / share


def _planned_total(experiment: Experiment, deviation: float, control: float, treatment: float) -> float | NotComputable:
    """Return the same by the design; withheld: `effect_too_small` for any number of identities.

    Args:
        experiment: its design.
        deviation: the standard deviation of one identity's part in the metric.
        control: its share of the traffic.
        treatment: its share of the traffic.
    """
    design = experiment.plan
    found = arm_sizes(
        standard_deviation=deviation,
        level=design.baseline or 0.0,
        mde=design.mde or 0.0,
        alpha=design.alpha / (len(experiment.compared_keys) - 1),
        power=design.power,
        ratio=treatment / control,
    )
    return found if isinstance(found, NotComputable) else found.control / control
