"""Progress of a comparison against the design: how much evidence has accrued, and when there will be enough."""

import math
from datetime import datetime, timedelta

from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.results.comparisons import Compared, Pair, clock_of
from experiment_pipeline.results.model import Progress
from experiment_pipeline.stats.evidence import planned_evidence
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

    It is that of the reading that decides (rule C8). Withheld: what withholds the comparison; `design_incomplete` and
    `evidence_not_planned`, from `planned_evidence`.

    Args:
        primary: the comparisons of the primary metric, which the design is about.
        experiment: its design, and when it started and ended.
        as_of: the end of the window that was analysed.
    """
    planned = planned_evidence(clock_of(primary.attached.metric), experiment.design, len(primary.pairs))
    started_at = experiment.started_at
    elapsed = timedelta(0) if started_at is None or as_of is None else max(timedelta(0), as_of - started_at)
    return {
        key: planned
        if isinstance(planned, NotComputable)
        else _progress(
            primary.deciding(key),
            planned,
            primary.arms[CONTROL].identities + primary.arms[key].identities,
            ENDED if experiment.ended_at is not None else elapsed,
        )
        for key in primary.pairs
    }


def _progress(
    pair: Pair | NotComputable, planned: float, identities: int, elapsed: timedelta | NotComputable
) -> Progress | NotComputable:
    if isinstance(pair, NotComputable):
        return pair
    fraction = pair.evidence.amount / planned
    if not fraction > identities / LARGEST_NEEDED:
        unknown = TOO_SMALL if fraction > 0 else NO_EVIDENCE
        return Progress(fraction, unknown, unknown)
    needed = math.ceil(identities / fraction)
    if isinstance(elapsed, NotComputable):
        return Progress(fraction, needed, elapsed)
    return Progress(fraction, needed, runtime_left(needed=needed, collected=identities, elapsed=elapsed))
