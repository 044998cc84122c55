"""Lake counts: what health checks ask of the lake beside what is analysed. A few names and counts, never rows."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from experiment_pipeline.domain.event_timing import EventTiming
from experiment_pipeline.domain.exposures import SeenExposures, Window
from experiment_pipeline.domain.field_types import FieldTypes
from experiment_pipeline.domain.texts import is_same_but_spelling
from experiment_pipeline.health.inputs import NOT_SEEN, HealthInputs, LakeCounts
from experiment_pipeline.health.metric_events import metrics_without_events
from experiment_pipeline.resources.refresh_session import ExperimentRun
from experiment_pipeline.warehouse.base import HealthCounts

READ_NAMES = 1_000  # of flags, or of events: more are not compared
LISTED_SPELLINGS = 20
COMPARED_IDS_OF = 200_000  # identities
TIMED_IDENTITIES = 20_000  # whose events are timed: shares of 1 % and more are known well enough of these
LOOKED_AROUND = timedelta(days=31)  # before the start and after the end


def with_lake_counts(inputs: HealthInputs, run: ExperimentRun, counts: HealthCounts | None) -> HealthInputs:
    """Return the inputs with what the lake holds at the run's data version and the analysis leaves out.

    They are as they are where the engine counts none of it.
    """
    if counts is None:
        return inputs
    before, after = _exposures_around(run, counts)
    found = LakeCounts(
        events=_events(inputs, run, counts),
        other_spellings=_other_spellings(run, counts),
        before_start=before,
        after_end=after,
        mixed_fields=tuple(_mixed_fields(inputs, run, counts)),
        saw_another_variant=_saw_another_variant(run, counts),
        repeated_ids=counts.repeated_event_ids(run.scope, _metric_events(run), _looked_at(inputs)),
        ambiguous_links=counts.ambiguous_links(run.scope),
        timing=_timing(inputs, run, counts),
        first_exposures=counts.first_exposure_counts(run.scope),
        delivered=run.registry.health.delivered_records(
            run.experiment.environment_key, run.scope.window, run.scope.data_version
        ),
    )
    return replace(inputs, lake=found)


def _events(inputs: HealthInputs, run: ExperimentRun, counts: HealthCounts) -> dict[str, int] | None:
    """Return the kinds of events, only where a metric has none: to count them all takes a scan of their names."""
    silent = metrics_without_events(inputs)
    names = {name for metric in silent for name in metric.event_names}
    return counts.event_names(run.scope, names, READ_NAMES) if silent else None


def _saw_another_variant(run: ExperimentRun, counts: HealthCounts) -> int:
    """Count the identities that saw another variant before this phase; its exposures are read in later phases alone."""
    phases = run.experiment.earlier_phases
    if not phases:
        return 0
    return counts.count_saw_another_variant(run.scope, Window(phases[0].started_at, phases[-1].ended_at))


def _metric_events(run: ExperimentRun) -> set[str]:
    return {name for attached in run.experiment.metrics for name in attached.metric.event_names}


def _timing(inputs: HealthInputs, run: ExperimentRun, counts: HealthCounts) -> EventTiming:
    """Return the timing of events; those from before everybody had begun to send can only have landed late."""
    since = run.registry.health.arrivals_began(run.experiment.environment_key) or run.scope.window.as_of
    share = min(1.0, TIMED_IDENTITIES / max(1, sum(inputs.identities.values())))
    return counts.event_timing(run.scope, _metric_events(run), share, since, inputs.thresholds.late_after)


def _looked_at(inputs: HealthInputs) -> float:
    """Return the share of identities whose event ids are compared: to compare all of many takes another scan."""
    return min(1.0, COMPARED_IDS_OF / max(1, sum(inputs.identities.values())))


def _other_spellings(run: ExperimentRun, counts: HealthCounts) -> dict[str, SeenExposures]:
    flag, flags = run.experiment.feature, counts.flag_names(run.scope, READ_NAMES)
    spellings = [name for name in flags if is_same_but_spelling(name, flag)][:LISTED_SPELLINGS]
    seen = {name: counts.count_exposures(run.scope, name, run.scope.window) for name in spellings}
    return {name: counted for name, counted in seen.items() if counted.exposures}


def _mixed_fields(inputs: HealthInputs, run: ExperimentRun, counts: HealthCounts) -> Iterator[FieldTypes]:
    """Yield the properties that came in several types.

    Those of metrics were counted when their events were read, and the lake is asked for samples of mixed ones alone.
    Those that an audience is chosen or grouped by are counted here.
    """
    counted = {(each.event, each.path): each for metric in inputs.aggregates for each in metric.mixed_fields}
    by_event: defaultdict[str, list[str]] = defaultdict(list)
    for event, field in dict.fromkeys((*counted, *run.experiment.audience.properties)):
        by_event[event].append(field)
    for event, fields in by_event.items():
        for found in counts.field_types(run.scope, event, fields):
            of_metric = counted.get((event, found.path))
            if of_metric is not None:
                yield replace(found, counts=of_metric.counts)
            elif found.is_mixed:
                yield found


def _exposures_around(run: ExperimentRun, counts: HealthCounts) -> tuple[SeenExposures, SeenExposures]:
    """Count exposures of the flag before the start and after the end, without those of its other experiments."""
    started_at, ended_at = run.scope.window.started_at, run.experiment.ended_at
    earlier_end, later_start = run.registry.health.neighbours(run.experiment)
    looked_from = max(started_at - LOOKED_AROUND, earlier_end or started_at - LOOKED_AROUND)
    feature = run.experiment.feature
    before = counts.count_exposures(run.scope, feature, Window(min(looked_from, started_at), started_at))
    if ended_at is None:
        return before, NOT_SEEN
    looked_to = min(ended_at + LOOKED_AROUND, later_start or ended_at + LOOKED_AROUND)
    after = Window(ended_at, max(ended_at, looked_to))
    return before, counts.count_exposures(run.scope, feature, after)
