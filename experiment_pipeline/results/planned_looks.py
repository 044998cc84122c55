"""Planned looks of the primary metric: those that were stored, and the one that a payload is (rules C7, C8)."""

from collections.abc import Collection, Mapping
from datetime import datetime

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.planned_looks import PlannedLook, PlannedLookOf
from experiment_pipeline.results.clocks import clock_of
from experiment_pipeline.results.comparisons import Compared, Pair
from experiment_pipeline.stats.confidence_sequence import standardised
from experiment_pipeline.stats.evidence import planned_evidence
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.planned_looks import PlannedLooks, next_planned_look

NO_PLANNED_LOOK_YET = NotComputable("before_first_planned_look")


def planned_looks_of(
    metric: Compared,
    experiment: Experiment,
    stored: Collection[PlannedLookOf],
    as_of: datetime | None,
    *,
    trustworthy: bool,
) -> Mapping[str, PlannedLooks]:
    """Return the planned looks of every treatment on a metric, the new ones among them; the primary one alone has any.

    A payload is no look while its verdict is withheld, or the split is not trustworthy: nothing could be said at it, so
    that it spends nothing. With several treatments each is looked at by itself, at alpha over their number.

    Args:
        metric: its comparisons.
        experiment: its design.
        stored: the looks of earlier payloads.
        as_of: the end of the window of this payload; None where it cannot be a look.
        trustworthy: whether the split is.
    """
    if metric.attached != experiment.metrics[0] or not experiment.has_planned_looks:
        return {}
    design, treatments = experiment.design, len(metric.pairs)
    planned = planned_evidence(clock_of(metric.attached.metric), design, treatments)
    if isinstance(planned, NotComputable):
        return {key: PlannedLooks(design.n_looks, (), None, None, planned) for key in metric.pairs}
    found: dict[str, PlannedLooks] = {}
    for key in metric.pairs:
        past = _stored(stored, metric.attached.metric.id, key)
        pair, new = metric.deciding(key), None
        fraction = None if isinstance(pair, NotComputable) else pair.evidence.amount / planned
        may_be_looked_at = trustworthy and metric.withheld[key] is None
        if as_of is not None and may_be_looked_at and isinstance(pair, Pair) and fraction is not None:
            new = next_planned_look(
                past,
                as_of=as_of,
                fraction=fraction,
                z=standardised(pair.effect, pair.control, pair.treatment, pair.evidence),
                n_looks=design.n_looks,
                alpha=design.alpha / treatments,
            )
        looks = past if new is None else (*past, new)
        found[key] = PlannedLooks(design.n_looks, looks, new, fraction, None if looks else NO_PLANNED_LOOK_YET)
    return found


def _stored(stored: Collection[PlannedLookOf], metric_id: int, treatment: str) -> tuple[PlannedLook, ...]:
    looks = [each.look for each in stored if (each.metric_id, each.treatment) == (metric_id, treatment)]
    return tuple(sorted(looks, key=lambda look: look.number))
