"""Whether the flag was exposed before the experiment's start or after its end: such exposures do not count (X1)."""

from datetime import datetime

from experiment_pipeline.domain.exposures import SeenExposures
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.times import iso_utc


def judge_exposures_outside(inputs: HealthInputs) -> Finding:
    """Return a warning with the number of such exposures, of their identities, and the first time."""
    before, after = inputs.lake.before_start, inputs.lake.after_end
    evidence = {"before_start": _evidence(before), "after_end": _evidence(after)}
    told = []
    if before.exposures:
        told.append(
            f"{_counts(before)} before the start, {_moment(inputs.experiment.started_at)}: identities that saw a "
            "variant earlier count from their first exposure after it. Move started_at while that is allowed, if the "
            "experiment began then."
        )
    if after.exposures:
        told.append(
            f"{_counts(after)} after the end, {_moment(inputs.experiment.ended_at)}: they do not count, as it is meant "
            "where the flag goes on serving the chosen variant."
        )
    if not told:
        detail = "No exposure lies before the start or after the end."
        return Finding("exposures_in_window", Severity.OK, "Exposures in the window", detail, evidence)
    return Finding(
        "exposures_outside_window", Severity.WARNING, "Exposures outside the window", " ".join(told), evidence
    )


def _evidence(seen: SeenExposures) -> dict[str, object]:
    return {
        "exposures": seen.exposures,
        "identities": seen.identities,
        "first_at": None if seen.first_at is None else iso_utc(seen.first_at),
    }


def _counts(seen: SeenExposures) -> str:
    return f"{seen.exposures:,} exposures of {seen.identities:,} identities, the first {_moment(seen.first_at)},"


def _moment(moment: datetime | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


CHECK = HealthCheck(
    name="exposures_in_window",
    artifact="srm",
    description="No exposures of the flag in the month before the start, or after the end (rule X1).",
    judge=judge_exposures_outside,
    in_place=False,
)
