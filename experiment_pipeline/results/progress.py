"""Progress of a comparison against the design: how much evidence has accrued, and when there will be enough."""

import math
from datetime import datetime, timedelta

from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.results.clocks import clock_of
from experiment_pipeline.results.comparisons import Compared
from experiment_pipeline.results.model import Progress
from experiment_pipeline.stats.evidence import planned_evidence
from experiment_pipeline.stats.guardrail import planned_margin_evidence
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.power import runtime_left

LARGEST_NEEDED = 2**53
NO_EVIDENCE = NotComputable("no_evidence_yet")
TOO_SMALL = NotComputable("effect_too_small")
ENDED = NotComputable("experiment_ended")


def progress_of(
    primary: Compared, experiment: Experiment, as_of: datetime | None
) -> dict[str, Progress | NotComputable]:
    """Return the progress of every treatment on the primary metric, or why there is none.

    It is that of the reading that decides (rule C8), of a guardrail with a margin that beside its margin (rule C9).
    Withheld: what withholds the comparison; `design_incomplete` and `evidence_not_planned`, from `planned_evidence`.

    Args:
        primary: the comparisons of the primary metric, which the design is about.
        experiment: its design, and when it started and ended.
        as_of: the end of the window that was analysed.
    """
    planned = _planned(primary, experiment)
    started_at = experiment.started_at
    elapsed = timedelta(0) if started_at is None or as_of is None else max(timedelta(0), as_of - started_at)
    return {
        key: planned
        if isinstance(planned, NotComputable)
        else _progress(
            _accrued(primary, key),
            planned,
            primary.arms[CONTROL].identities + primary.arms[key].identities,
            ENDED if experiment.ended_at is not None else elapsed,
        )
        for key in primary.pairs
    }


def _planned(primary: Compared, experiment: Experiment) -> float | NotComputable:
    """Return the evidence at the planned end."""
    attached, treatments = primary.attached, len(primary.pairs)
    clock, design = clock_of(attached.metric), experiment.design
    if attached.margin is None:
        return planned_evidence(clock, design, treatments)
    return planned_margin_evidence(clock, design, attached.expected_direction, attached.margin, treatments)


def _accrued(primary: Compared, treatment: str) -> float | NotComputable:
    """Return the evidence so far."""
    found = primary.deciding(treatment) if primary.attached.margin is None else primary.beside_margin[treatment]
    return found if isinstance(found, NotComputable) else found.evidence.amount


def _progress(
    accrued: float | NotComputable, planned: float, identities: int, elapsed: timedelta | NotComputable
) -> Progress | NotComputable:
    if isinstance(accrued, NotComputable):
        return accrued
    fraction = accrued / planned
    if not fraction > identities / LARGEST_NEEDED:
        unknown = TOO_SMALL if fraction > 0 else NO_EVIDENCE
        return Progress(fraction, unknown, unknown)
    needed = math.ceil(identities / fraction)
    if isinstance(elapsed, NotComputable):
        return Progress(fraction, needed, elapsed)
    return Progress(fraction, needed, runtime_left(needed=needed, collected=identities, elapsed=elapsed))
