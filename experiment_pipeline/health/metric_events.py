"""Whether the events that metrics read occur at all, and in identities that were exposed."""

from collections.abc import Mapping

from experiment_pipeline.domain.measures import WHOLE_TIME
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.domain.texts import nearest, printable, quoted
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

MOST_FREQUENT = 3  # names that are shown where none is near


def judge_metric_events(inputs: HealthInputs) -> Finding:
    """Return an error where a metric's event never occurred, a warning where nobody who was exposed sent it."""
    silent, seen = metrics_without_events(inputs), inputs.lake.events
    if not silent or seen is None:
        return Finding("metric_events_seen", Severity.OK, "Events seen", "Every metric has events.", {"metrics": {}})
    evidence = {"metrics": {metric.name: _evidence(metric, seen) for metric in silent}}
    environment = inputs.experiment.environment_key
    told = " ".join(_told(metric, seen, environment) for metric in silent)
    if any(_silent_event(metric, seen) not in seen for metric in silent):
        return Finding("metric_event_missing", Severity.ERROR, "Event never seen", told, evidence)
    return Finding("metric_events_of_others", Severity.WARNING, "Events of nobody who was exposed", told, evidence)


def metrics_without_events(inputs: HealthInputs) -> list[Metric]:
    """Return the metrics that have only zeros in every variant, while identities are counted."""
    if not any(inputs.identities.values()):
        return []
    return [each.attached.metric for each in inputs.results.metrics if _is_silent(inputs, each.attached.metric.id)]


def _is_silent(inputs: HealthInputs, metric_id: int) -> bool:
    found = [each for each in inputs.aggregates if each.metric_id == metric_id]
    arms = [arm for each in found for arm in each.by_variant.values()]
    values = sum(sum(each.values.values()) for each in found)
    return not values and all(arm is not None and not arm.mean and not arm.m2 for arm in arms)


def _evidence(metric: Metric, seen: Mapping[str, int]) -> dict[str, object]:
    event = _silent_event(metric, seen)
    return {"event": event, "events": seen.get(event, 0), "nearest": _near(event, seen)}


def _silent_event(metric: Metric, seen: Mapping[str, int]) -> str:
    """Return the first event of the metric that never occurred; where all did, its first one."""
    return next((name for name in metric.event_names if name not in seen), metric.event_names[0])


def _near(event: str, seen: Mapping[str, int]) -> dict[str, int]:
    return {} if event in seen else {name: seen[name] for name in nearest(event, seen)}


def _told(metric: Metric, seen: Mapping[str, int], environment: str) -> str:
    name, silent = printable(metric.name), _silent_event(metric, seen)
    event = quoted(silent)
    if silent in seen and _chooses(metric):
        return (
            f"{name}: {seen[silent]:,} events {event} came, and no identity has what the metric asks for after its "
            "exposure: see whether its conditions, steps and window can be met."
        )
    if silent in seen:
        return (
            f"{name}: {seen[silent]:,} events {event} came, none of an identity after its exposure. See whether "
            "they carry the same identifier as the exposures."
        )
    where = f"{printable(environment)} in the months of the experiment"
    return f"{name}: the event {event} never came to {where}.{_did_come(silent, seen)}"


def _chooses(metric: Metric) -> bool:
    """Return whether more is asked of an identity than any event of the name."""
    several = len(metric.events) > 1
    return several or any(each.where or each.window != WHOLE_TIME for each in metric.events)


def _did_come(event: str, seen: Mapping[str, int]) -> str:
    if near := _near(event, seen):
        return f" Near it: {', '.join(f'{quoted(other)} ({count:,})' for other, count in near.items())}."
    if not seen:
        return " No events but exposures came."
    frequent = list(seen.items())[:MOST_FREQUENT]
    return f" Most frequent: {', '.join(f'{quoted(other)} ({count:,})' for other, count in frequent)}."


CHECK = HealthCheck(
    name="metric_events_seen",
    artifact="bayesian_results",
    description="The event of every metric occurs, also in identities that were exposed.",
    judge=judge_metric_events,
    in_place=False,
)
