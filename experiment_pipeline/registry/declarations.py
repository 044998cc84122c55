"""Declarations: the entries of a manifest beside what the registry holds, with errors that name both."""

from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from experiment_pipeline.domain.drafts import AttachmentDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, VariantRole, unallocated
from experiment_pipeline.domain.fields import FieldErrors
from experiment_pipeline.domain.texts import suggestion
from experiment_pipeline.errors import ConfigurationError, Conflict
from experiment_pipeline.registry.environments import Environments
from experiment_pipeline.registry.experiments import Experiments
from experiment_pipeline.registry.metrics import Metrics
from experiment_pipeline.schemas.manifests import DeclaredExperiment, DeclaredMetric, DeclaredSource, Manifest

Entry = TypeVar("Entry", DeclaredSource, DeclaredMetric, DeclaredExperiment)


def in_environments(connection: Connection, manifest: Manifest) -> Manifest:
    """Return a manifest whose every entry names an environment that exists: the only one where it names none.

    Raises:
        ConfigurationError: an entry names none and there are several, or one that does not exist.
    """
    known = [environment.key for environment in Environments(connection).list()]
    errors = FieldErrors()
    sources = {key: _placed(errors, f"sources.{key}", entry, known) for key, entry in manifest.sources.items()}
    metrics = {key: _placed(errors, f"metrics.{key}", entry, known) for key, entry in manifest.metrics.items()}
    experiments = {
        key: _placed(errors, f"experiments.{key}", entry, known) for key, entry in manifest.experiments.items()
    }
    errors.raise_any()
    return manifest.model_copy(update={"sources": sources, "metrics": metrics, "experiments": experiments})


def _placed(errors: FieldErrors, path: str, entry: Entry, known: list[str]) -> Entry:
    if not entry.environment and len(known) == 1:
        return replace(entry, environment=known[0])
    if not known:
        errors.add("environments", "There is none yet: declare one, such as environments: {production: {}}.")
    elif not entry.environment:
        errors.add(f"{path}.environment", f"This field is required: name one of {', '.join(known)}.")
    elif entry.environment not in known:
        near = suggestion(entry.environment, known) or f" There are {', '.join(known)}."
        errors.add(f"{path}.environment", f"No environment '{entry.environment}'.{near}")
    return entry


def check_declared(connection: Connection, entry: DeclaredExperiment, before: Experiment | None) -> None:
    """Check what a manifest may not declare, although the API accepts it or says less of it.

    Args:
        connection: of the registry.
        entry: the experiment's.
        before: the experiment as it is; None before it is made.

    Raises:
        ConfigurationError: a metric is unknown or listed twice, or the others take all of control's traffic.
    """
    errors = FieldErrors()
    _check_metrics(errors, connection, entry)
    if before is None or before.started_at is None:
        _check_control(errors, entry)
    errors.raise_any()


def _check_metrics(errors: FieldErrors, connection: Connection, entry: DeclaredExperiment) -> None:
    known = {metric.id: metric.name for metric in Metrics(connection).list(entry.environment)}
    seen: set[str] = set()
    for position, draft in enumerate(entry.metrics):
        field, name = f"metrics.{position}.metric", _name(draft, known)
        if name is None:
            near = suggestion(str(draft.metric), known.values()) or _listed(list(known.values()))
            errors.add(field, f"No metric '{draft.metric}' in environment '{entry.environment}'.{near}")
        elif name in seen:
            errors.add(field, f"The metric '{name}' is attached already, further up in the list.")
        else:
            seen.add(name)


def _name(draft: AttachmentDraft, known: dict[int, str]) -> str | None:
    if isinstance(draft.metric, int):
        return known.get(draft.metric)
    return draft.metric if draft.metric in known.values() else None


def _listed(names: list[str]) -> str:
    return f" There are {', '.join(sorted(names)[:10])}." if names else " It has none yet: declare it under metrics."


def _check_control(errors: FieldErrors, entry: DeclaredExperiment) -> None:
    """Refuse treatments that leave nothing to a control that is not declared: nothing could be compared (rule S1)."""
    if any(variant.key == "control" or variant.role is VariantRole.CONTROL for variant in entry.variants):
        return
    shares = [variant.percentage_allocation or 0.0 for variant in entry.variants]
    if entry.variants and unallocated(shares) == 0:
        errors.add(
            "variants",
            "They take 100 % of the traffic, and no variant is the control that the others are compared with. "
            "Give one of them the key 'control', as the flag sends it, or leave a part of the traffic to control.",
        )


def explained_conflict(connection: Connection, entry: DeclaredExperiment, conflict: Conflict) -> ConfigurationError:
    """Return a conflict as the error of a field: the experiment that has the flag, or the key that was used before."""
    for other in Experiments(connection).list(entry.environment, search=entry.feature):
        if other.feature == entry.feature and other.status is not ExperimentStatus.COMPLETED:
            message = f"{conflict} '{other.key}' has the flag '{entry.feature}' and is {other.status}"
            return ConfigurationError.of("feature", f"{message}: complete or delete it first, or leave this one out.")
    used = "an experiment of this key was deleted after results that count identities were published"
    return ConfigurationError.of("key", f"{conflict} Choose another: {used}.")
