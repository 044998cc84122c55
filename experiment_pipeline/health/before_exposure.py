"""Whether events of metrics come shortly before the first exposure: the exposure is then sent too late (rule M2)."""

from experiment_pipeline.domain.event_timing import NearExposure
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

ENOUGH_EVENTS = 100  # of fewer, a few are a share
LISTED = 20  # events


def judge_before_exposure(inputs: HealthInputs) -> Finding:
    """Return a warning that names the events of which many came in the hour before the first exposure."""
    timing = inputs.lake.timing
    found = {
        event: near
        for event, near in sorted(timing.near_exposure.items())
        if near.events >= ENOUGH_EVENTS and near.before > inputs.thresholds.before_exposure * near.events
    }
    listed = dict(list(found.items())[:LISTED])
    evidence = {
        "events": {quoted(event): {"events": near.events, "before": near.before} for event, near in listed.items()},
        "share_of_identities": timing.share,
    }
    if not found:
        detail = "Few events of the metrics came in the hour before the first exposure."
        return Finding("events_after_exposure", Severity.OK, "Events after the exposure", detail, evidence)
    told = "; ".join(_told(event, near) for event, near in listed.items())
    detail = (
        f"{told} came in the hour before the identity's first exposure: they do not count. Send the exposure when the "
        "variant is decided on, before what it changes; an event that leads to the exposure, such as a sign-in, "
        "measures nothing of it."
    )
    return Finding("events_before_exposure", Severity.WARNING, "Events before the exposure", detail, evidence)


def _told(event: str, near: NearExposure) -> str:
    return f"{near.before:,} of {near.events:,} events {quoted(event)}"


CHECK = HealthCheck(
    name="events_after_exposure",
    artifact="bayesian_results",
    description="Few events of metrics come in the hour before the identity's first exposure (rule M2).",
    judge=judge_before_exposure,
    in_place=False,
)
