"""Stored evidence: what the health checks found when the experiment's results were published last."""

from collections.abc import Mapping
from typing import Any

from experiment_pipeline.domain.self_check import is_self_check_due
from experiment_pipeline.health.self_check import NAME, checked_as_of
from experiment_pipeline.resources.refresh_session import ExperimentRun


def stored_evidence(run: ExperimentRun) -> dict[str, Mapping[str, Any]]:
    """Return the evidence of the findings that are stored, by check; empty before the first results."""
    stored = run.registry.health.get(run.experiment.id, run.experiment.phase)
    return {} if stored is None else stored.evidence()


def checks_itself_now(run: ExperimentRun) -> bool:
    """Return whether a run checks control against itself: the first one of a UTC day, and the final one."""
    checked = checked_as_of(stored_evidence(run).get(NAME))
    return is_self_check_due(run.scope.window.as_of, run.experiment.ended_at, checked)
