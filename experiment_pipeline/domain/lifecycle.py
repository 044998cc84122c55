"""The life of an experiment: transitions, restarts, what freezes at a start, what may be deleted (rules L1-L4, X9)."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from experiment_pipeline.domain.definitions import canonical_text
from experiment_pipeline.domain.drafts import (
    ExperimentDraft,
    VariantDraft,
    changed_fields,
    check_experiment,
    to_draft,
    to_metric_draft,
)
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, Variant, attached_in_phase
from experiment_pipeline.domain.fields import FieldErrors
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.domain.phases import EndedPhase
from experiment_pipeline.errors import ConfigurationError, Conflict, InvalidTransition, NotAllowed
from experiment_pipeline.times import iso_utc, to_milliseconds

TRANSITIONS: Mapping[ExperimentStatus, tuple[ExperimentStatus, ...]] = {  # rule L1
    ExperimentStatus.CREATED: (ExperimentStatus.RUNNING,),
    ExperimentStatus.RUNNING: (ExperimentStatus.PAUSED, ExperimentStatus.COMPLETED),
    ExperimentStatus.PAUSED: (ExperimentStatus.RUNNING, ExperimentStatus.COMPLETED),
    ExperimentStatus.COMPLETED: (),
}
STANDS: Mapping[ExperimentStatus, str] = {  # what an experiment of each status is, and what can be done with it
    ExperimentStatus.CREATED: "has not started: it can be started",
    ExperimentStatus.RUNNING: "is running{already}: it can be paused, restarted or completed",
    ExperimentStatus.PAUSED: "is paused{already}: it can be started again, restarted or completed",
    ExperimentStatus.COMPLETED: "is completed{already}, for good: to go on, declare another one under another key",
}
LONGEST_AHEAD = timedelta(days=1)  # of a start or an end: such a day passes, a year of a wrong clock does not
IMMUTABLE = ("key", "feature")
FROZEN = "Cannot be changed after the experiment has started."
REALLOCATES = "A restart begins a new phase with other allocations."
MAY_BE_ADDED = "Secondary metrics may be added as the last ones until it is completed."
ALWAYS_EDITABLE = ("name", "hypothesis", "ignored_variants")


def transition(
    experiment: Experiment, to: ExperimentStatus, at: datetime, *, now: datetime | None = None
) -> Experiment:
    """Return the experiment after one transition (rule L1).

    The first start sets `started_at`, completion sets `ended_at`, in whole milliseconds as events are (rule E1). One
    that lies over a day ahead was told by a clock that is right again: starting or completing once more dates it anew.

    Args:
        experiment: as it is.
        to: the status that it gets.
        at: the moment of the transition, now or one that somebody states.
        now: the present moment, where `at` is stated.

    Raises:
        InvalidTransition: the rule does not have it.
    """
    present = now or at
    started_at = _unless_ahead(experiment.started_at, present)
    ended_at = _unless_ahead(experiment.ended_at, present)
    is_dated_anew = to is experiment.status and (started_at, ended_at) != (experiment.started_at, experiment.ended_at)
    if to not in TRANSITIONS[experiment.status] and not is_dated_anew:
        raise InvalidTransition(experiment.status.value, to.value, _advice(experiment.status, to))
    moment = to_milliseconds(at)
    if to is ExperimentStatus.RUNNING or experiment.started_at is not None:
        started_at = started_at or moment
    if to is ExperimentStatus.COMPLETED and ended_at is None:
        ended_at = max(moment, started_at) if started_at is not None else moment
    ended_phases = experiment.ended_phases
    if (
        ended_phases and started_at is not None and started_at < ended_phases[-1].ended_at
    ):  # dated anew: phases do not overlap
        ended_phases = (*ended_phases[:-1], replace(ended_phases[-1], ended_at=started_at))
    return replace(experiment, status=to, started_at=started_at, ended_at=ended_at, ended_phases=ended_phases)


def restart(experiment: Experiment, variants: tuple[VariantDraft, ...] | None, now: datetime) -> Experiment:
    """Return the experiment in its next phase, which begins where the present one ends (rule X9).

    Args:
        experiment: running or paused, in its newest phase.
        variants: with the allocations of the next phase; None for the present ones. Control may be left out.
        now: the end of the present phase and the start of the next one, in whole milliseconds.

    Raises:
        NotAllowed: the experiment has not started, is completed, or the present phase would have no length.
        ConfigurationError: the variants differ in more than their allocations, or these break rule L3.
    """
    moment, phase = to_milliseconds(now), experiment.phase
    if experiment.status not in (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED) or experiment.started_at is None:
        raise NotAllowed(f"Cannot restart: the experiment {STANDS[experiment.status].format(already='')}.")
    if moment <= experiment.started_at:
        raise NotAllowed(
            f"Cannot restart: phase {phase} started at {iso_utc(experiment.started_at)}, and not before now."
        )
    arms = experiment.variants if variants is None else _reallocated(experiment, variants)
    allocations = tuple(variant.percentage_allocation for variant in experiment.variants)
    ended = EndedPhase(phase, experiment.started_at, moment, allocations)
    return replace(
        experiment,
        status=ExperimentStatus.RUNNING,
        phase=phase + 1,
        started_at=moment,
        ended_at=None,
        variants=arms,
        metrics=attached_in_phase(experiment.metrics, phase + 1),
        ended_phases=(*experiment.ended_phases, ended),
    )


def _reallocated(experiment: Experiment, drafts: tuple[VariantDraft, ...]) -> tuple[Variant, ...]:
    """Return the experiment's variants with other allocations; keys and roles stay (rule X9)."""
    present = to_draft(experiment)
    resolved = check_experiment(replace(present, variants=drafts), present)
    wanted = {(variant.key, variant.role): variant for variant in resolved}
    kept = [(variant.key, variant.role) for variant in experiment.variants]
    if sorted(map(str, wanted)) != sorted(map(str, kept)) or len(resolved) != len(kept):
        named = ", ".join(f"{key!r} ({role})" for key, role in kept)
        raise ConfigurationError.of("variants", f"A restart changes allocations alone. Give each of {named}.")
    return tuple(wanted[each] for each in kept)


def _advice(current: ExperimentStatus, to: ExperimentStatus) -> str:
    already = " already" if current is to else ""
    return f"The experiment {STANDS[current].format(already=already)}."


def _unless_ahead(moment: datetime | None, now: datetime) -> datetime | None:
    return None if moment is not None and moment > now + LONGEST_AHEAD else moment


def transitions_to(current: ExperimentStatus, wanted: ExperimentStatus) -> tuple[ExperimentStatus, ...]:
    """Return the transitions from one status to another; `transition` decides whether each is allowed."""
    if current is wanted:
        return ()
    if current is ExperimentStatus.CREATED and wanted is not ExperimentStatus.RUNNING:
        return (ExperimentStatus.RUNNING, wanted)
    return (wanted,)


def is_further(current: ExperimentStatus, stated: ExperimentStatus) -> bool:
    """Return whether an experiment is further in its life than the status that a file states."""
    order = list(ExperimentStatus)
    return order.index(current) > order.index(stated)


def check_dates(
    status: ExperimentStatus | None, started_at: datetime | None, ended_at: datetime | None, now: datetime
) -> None:
    """Check that the dates stated for an experiment of the past fit its status and their order.

    Raises:
        ConfigurationError: names each date at fault.
    """
    errors = FieldErrors()
    if started_at is not None:
        errors.require(status not in (None, ExperimentStatus.CREATED), "started_at", "Needs a status from running on.")
        errors.require(started_at <= now, "started_at", "Must not lie in the future.")
    if ended_at is not None:
        errors.require(status is ExperimentStatus.COMPLETED, "ended_at", "Needs the status completed.")
        errors.require(ended_at <= now, "ended_at", "Must not lie in the future.")
        errors.require(started_at is None or started_at < ended_at, "ended_at", "Must lie after started_at.")
    errors.raise_any()


def check_end_kept(experiment: Experiment, ended_at: datetime | None) -> None:
    """Check that `ended_at`, which is set once, stays (rule L1). Raises ConfigurationError."""
    kept = experiment.ended_at
    if kept is not None and ended_at is not None and to_milliseconds(ended_at) != kept:
        raise ConfigurationError.of("ended_at", f"Cannot be changed: it is {kept.isoformat()}.")


def check_start_may_move(
    experiment: Experiment, to: datetime, now: datetime, *, has_counted: bool, is_final: bool
) -> None:
    """Check that the start of an experiment may move (rule L1).

    Args:
        experiment: it has started.
        to: the start that is wanted.
        now: the present moment.
        has_counted: whether results were published that counted an identity.
        is_final: whether a computation is final.

    Raises:
        ConfigurationError: results depend on the present start, or the wanted one lies in the future or after the end.
    """
    kept = experiment.started_at
    errors = FieldErrors()
    if kept is not None and experiment.ended_phases:
        errors.add(
            "started_at", f"Cannot be changed: the experiment was restarted, and is in phase {experiment.phase}."
        )
    elif kept is not None and (has_counted or is_final):
        why = "results are final" if is_final else "results that count identities were published since"
        errors.add("started_at", f"Cannot be changed: it is {kept.isoformat()}, and {why}.")
    errors.require(to <= now, "started_at", "Must not lie in the future.")
    ends_later = experiment.ended_at is None or to < experiment.ended_at
    errors.require(ends_later, "started_at", "Must lie before the end.")
    errors.raise_any()


def check_revision(experiment: Experiment, before: ExperimentDraft, after: ExperimentDraft) -> None:
    """Check a change by rule L3: key and feature never change; all but `ALWAYS_EDITABLE` freezes at the start.

    Secondary metrics may still be added (rule M22).

    Args:
        experiment: the experiment before the change.
        before: its draft, with every default filled in.
        after: the wanted draft, with every default filled in.

    Raises:
        ConfigurationError: names each field at fault.
    """
    errors = FieldErrors()
    for name in changed_fields(before, after):
        if name in IMMUTABLE:
            errors.add(name, f"The {name} cannot be changed.")
        elif name == "metrics" and experiment.started_at is not None:
            if not _only_adds_secondary(experiment, before, after):
                errors.add(name, f"{FROZEN} {MAY_BE_ADDED}")
        elif name not in ALWAYS_EDITABLE and experiment.started_at is not None:
            errors.add(name, f"{FROZEN} {REALLOCATES}" if name == "variants" else FROZEN)
    errors.raise_any()


def _only_adds_secondary(experiment: Experiment, before: ExperimentDraft, after: ExperimentDraft) -> bool:
    """Return whether a change of metrics only adds secondary ones, as the last ones, before the end (rule M22)."""
    kept, added = after.metrics[: len(before.metrics)], after.metrics[len(before.metrics) :]
    has_primary = bool(before.metrics)
    is_secondary = not any(each.expected_direction.is_guardrail for each in added)
    return kept == before.metrics and has_primary and is_secondary and experiment.ended_at is None


def check_detachable(experiment: Experiment) -> None:
    """Check that metrics may be detached (rules L3, L4). Raises NotAllowed."""
    if experiment.status is ExperimentStatus.COMPLETED:
        raise NotAllowed("Cannot detach metrics from a completed experiment.")


def check_deletable(experiment: Experiment) -> None:
    """Check that an experiment may be deleted (rule L4). Raises NotAllowed."""
    if experiment.status is ExperimentStatus.RUNNING:
        raise NotAllowed("Cannot delete a running experiment. Pause or complete it first.")


def may_be_redefined(attached_to: Collection[ExperimentStatus]) -> bool:
    """Return whether what a metric measures may change: no experiment that uses it has started (rules L3, M17)."""
    return set(attached_to) <= {ExperimentStatus.CREATED}


def check_metric_revision(before: Metric, after: Metric, attached_to: Collection[ExperimentStatus]) -> None:
    """Check a change by rules L3 and M17: what a metric measures freezes once an experiment that uses it has started.

    Args:
        before: the metric before the change.
        after: the wanted metric; its name and description may always differ.
        attached_to: the statuses of the experiments that use it.

    Raises:
        ConfigurationError: names each field at fault.
    """
    if may_be_redefined(attached_to):
        return
    errors = FieldErrors()
    present, wanted = to_metric_draft(before), to_metric_draft(after)
    changed = {name: getattr(present, name) != getattr(wanted, name) for name in ("aggregation", "direction", "window")}
    if before.version != after.version:  # what version 1 has beside the definition says nothing more than that
        changed |= {"definition": True, "aggregation": False, "window": False}
    else:
        changed["definition"] = canonical_text(present.definition) != canonical_text(wanted.definition)
    for name in ("definition", "aggregation", "direction", "window"):
        if changed[name]:
            errors.add(name, "Cannot be changed: the metric is attached to an experiment that has started.")
    errors.raise_any()


def check_metric_deletable(attached_to: Collection[ExperimentStatus]) -> None:
    """Check that a metric may be deleted (rule L4). Raises Conflict."""
    if not set(attached_to) <= {ExperimentStatus.COMPLETED}:
        raise Conflict(
            "Cannot delete a metric attached to an active experiment. Detach it or complete the experiment first."
        )
