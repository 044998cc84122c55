"""Whether the control arm, split in two at random, differs from itself as often as tests at 5 % should call it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from experiment_pipeline.domain.experiments import CONTROL
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.self_check import SPLITS, SelfCheck
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.reasons import in_words
from experiment_pipeline.results.self_check import checked_above_floors
from experiment_pipeline.stats.self_check import FEWEST_CALLS, LEVEL, MOST_CALLS, is_in_band
from experiment_pipeline.times import iso_utc

NAME = "control_agrees_with_itself"
EXPECTED = f"{FEWEST_CALLS} to {MOST_CALLS} of {SPLITS}"
TOO_MANY = "its test calls differences that are not there"
TOO_FEW = "its test hardly sees any, since few identities hold most of its values"


def judge_self_check(inputs: HealthInputs) -> Finding:
    """Return a warning where a metric's calls lie outside the band; without a self-check of now, by the stored one."""
    found, as_of = _self_checks(inputs)
    evidence = {
        "as_of": None if as_of is None else iso_utc(as_of),
        "splits": SPLITS,
        "level": LEVEL,
        "expected_calls": [FEWEST_CALLS, MOST_CALLS],
        "metrics": {name: {"calls": each.calls, "reason": each.reason} for name, each in found.items()},
    }
    calls = {name: each.calls for name, each in found.items() if each.calls is not None}
    if failed := {name: number for name, number in calls.items() if not is_in_band(number)}:
        told = "; ".join(f"{printable(name)}: {number}, so {_meaning(number)}" for name, number in failed.items())
        detail = (
            f"Split in two at random, control differs from itself at 5 % in {EXPECTED} splits where a test keeps its "
            f"level. {told}. Cap such a metric, or measure a share: see which identities hold the largest values."
        )
        return Finding("self_check_failed", Severity.WARNING, "Control disagrees with itself", detail, evidence)
    if calls:
        told = ", ".join(f"{printable(name)} {number}" for name, number in calls.items())
        detail = (
            f"Split in two at random, control differs from itself at 5 % in {EXPECTED} splits: {told}.{_skips(found)}"
        )
        return Finding(NAME, Severity.OK, "Control agrees with itself", detail, evidence)
    detail = f"Control is not split in two to be compared with itself yet.{_skips(found)}"
    return Finding("self_check_skipped", Severity.OK, "Self-check skipped", detail, evidence)


def checked_as_of(evidence: Mapping[str, Any] | None) -> datetime | None:
    """Return the as-of (UTC) of the self-check that a stored finding rests on; None without one."""
    as_of = None if evidence is None else evidence.get("as_of")  # none where a warehouse does not check it
    return None if as_of is None else datetime.fromisoformat(as_of)


def _self_checks(inputs: HealthInputs) -> tuple[dict[str, SelfCheck], datetime | None]:
    """Return the self-check of every metric, by its name, and as of when they are."""
    by_id = {each.metric_id: each.self_check for each in inputs.aggregates if each.self_check is not None}
    stored = inputs.stored.get(NAME)
    if not by_id and stored is not None and "metrics" in stored:
        return {name: SelfCheck(**each) for name, each in stored["metrics"].items()}, checked_as_of(stored)
    return dict(_above_floors(inputs, by_id, inputs.floors)), inputs.as_of if by_id else None


def _above_floors(
    inputs: HealthInputs, by_id: Mapping[int, SelfCheck], floors: Floors
) -> Iterator[tuple[str, SelfCheck]]:
    for of in inputs.results.metrics:
        metric = of.attached.metric
        if metric.id in by_id:
            yield metric.name, checked_above_floors(metric, by_id[metric.id], of.arms[CONTROL], floors)


def _meaning(calls: int) -> str:
    return TOO_MANY if calls > MOST_CALLS else TOO_FEW


def _skips(found: Mapping[str, SelfCheck]) -> str:
    """Return a sentence that names the metrics that were left out, and why."""
    skipped = [f"{printable(name)} ({in_words(each.reason)})" for name, each in found.items() if each.reason]
    return f" Skipped: {', '.join(skipped)}." if skipped else ""


CHECK = HealthCheck(
    name=NAME,
    artifact="bayesian_results",
    description=f"Control split in two at random is called different from itself in {EXPECTED} splits, at 5 %.",
    judge=judge_self_check,
    in_place=False,
)
