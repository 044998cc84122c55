"""Occurrences that a publication is: what targets of notifications are told, by comparison with the payload before.

Payloads are read as they are stored: what an older version left out is missing, and then nothing is told of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.notifications import FAILING_AFTER, NotificationEvent, Occurrence
from experiment_pipeline.domain.refresh import Computation, ComputationState, Publication
from experiment_pipeline.results.decision import Action
from experiment_pipeline.stats.verdict import Verdict
from experiment_pipeline.times import iso_utc

LAND_LATE = "events_land_late"  # the code of a health finding
NEVER = "never"  # in an occasion: before anything was published


def of_publication(
    experiment: Experiment, before: Mapping[str, Any] | None, publication: Publication, *, now_final: bool
) -> list[Occurrence]:
    """Return what the publication of results is to be told for; nothing for exposures.

    Args:
        experiment: in the phase that is published.
        before: the results payload that it replaces; None for the first of the phase.
        publication: payload and findings.
        now_final: whether the results are the last (rule R6).
    """
    if publication.computation is not Computation.RESULTS:
        return []
    old, new, run = before or {}, publication.payload, publication.run
    guardrails = {
        each.metric.id: each.metric.name for each in experiment.metrics if each.expected_direction.is_guardrail
    }
    moment, as_of = publication.computed_at.isoformat(), iso_utc(run.as_of)
    return [
        Occurrence(event, occasion or moment, {"as_of": as_of, **facts})
        for event, occasion, facts in (
            *_decision(old, new),
            *_split(old, new),
            *_guardrails(old, new, guardrails),
            *_late(publication.findings or ()),
            *_final(new, now_final=now_final),
        )
    ]


def of_failures(states: Sequence[ComputationState]) -> list[Occurrence]:
    """Return that refreshes fail, once until one works, after so many failures of a computation in a row.

    Args:
        states: both computations of the experiment, the failure counted.
    """
    results = next(each for each in states if each.computation is Computation.RESULTS)
    worst = max(states, key=lambda state: state.failures)
    if worst.failures < FAILING_AFTER or worst.last_error_at is None:
        return []
    published = None if results.computed_at is None else iso_utc(results.computed_at)
    facts = {
        "failures": worst.failures,
        "computation": worst.computation.value,
        "last_error_at": iso_utc(worst.last_error_at),
        "last_published_at": published,
    }
    return [Occurrence(NotificationEvent.REFRESH_FAILING, published or NEVER, facts)]


def of_silence(silent: Mapping[str, datetime | None]) -> Occurrence:
    """Return that events have stopped coming.

    Args:
        silent: when the newest events arrived, by their origin, of the origins that are silent; None for never (UTC).
    """
    newest = {name: None if at is None else iso_utc(at) for name, at in sorted(silent.items())}
    # Each silence is of its own newest event; of several origins the one that fell silent last tells it from others.
    last = max((at for at in newest.values() if at is not None), default=NEVER)
    return Occurrence(
        NotificationEvent.DATA_LATE,
        f"no_new_events:{len(newest)}:{last}",
        {"reason": "no_new_events", "newest_landed_at": newest},
    )


def of_late_events(detail: str) -> Occurrence:
    """Return that events arrived after results were final, which is told once a phase."""
    return Occurrence(NotificationEvent.DATA_LATE, "late_events", {"reason": "late_events", "detail": detail})


def _decision(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[NotificationEvent, str, dict[str, Any]]]:
    """Yield a decision that is another than before; that an experiment keeps running is one only if it was decided."""
    before, after = old.get("decision"), new.get("decision")
    if after is None:
        return
    keeps_running = {"action": Action.KEEP_RUNNING.value, "treatment": None}
    was, now = ({name: (each or keeps_running)[name] for name in keeps_running} for each in (before, after))
    if was != now:
        told = {name: after[name] for name in ("action", "treatment", "rule", "why")}
        previous = None if before is None else was
        yield NotificationEvent.DECISION_REACHED, "", {**told, "previous": previous}


def _split(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[NotificationEvent, str, dict[str, Any]]]:
    if new.get("trustworthy") is False and old.get("trustworthy") is not False:
        srm = new.get("srm", {})
        names = ("identities", "expected_shares", "anytime_p_value", "reason")
        yield NotificationEvent.SPLIT_BROKEN, "", {name: srm.get(name) for name in names}


def _guardrails(
    old: Mapping[str, Any], new: Mapping[str, Any], guardrails: Mapping[int, str]
) -> Iterator[tuple[NotificationEvent, str, dict[str, Any]]]:
    was, now = (_harmed(payload, guardrails) for payload in (old, new))
    harmed = [
        {"metric_id": metric, "metric": guardrails[metric], "treatment": treatment}
        for metric, treatment in now
        if (metric, treatment) not in was
    ]
    if harmed:
        yield NotificationEvent.GUARDRAIL_HARMED, "", {"harmed": harmed}


def _harmed(payload: Mapping[str, Any], guardrails: Mapping[int, str]) -> list[tuple[int, str]]:
    return [
        (metric["metric_id"], treatment)
        for metric in payload.get("metrics", ())
        if metric["metric_id"] in guardrails
        for treatment, verdict in metric.get("verdict", {}).items()
        if verdict == Verdict.HARMED
    ]


def _late(findings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[NotificationEvent, str, dict[str, Any]]]:
    for each in findings:
        if each.get("code") == LAND_LATE:
            facts = {"reason": LAND_LATE, "detail": each["detail"]}
            yield NotificationEvent.DATA_LATE, LAND_LATE, facts  # once a phase


def _final(new: Mapping[str, Any], *, now_final: bool) -> Iterator[tuple[NotificationEvent, str, dict[str, Any]]]:
    if now_final:
        decision = new.get("decision")
        told = None if decision is None else {name: decision[name] for name in ("action", "treatment", "why")}
        yield NotificationEvent.EXPERIMENT_FINAL, "final", {"trustworthy": new.get("trustworthy"), "decision": told}
