"""Whether the window reaches further back than the exposures that are kept (rule X8)."""

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.times import iso_utc

EXPECTED = 20  # identities that should have come in the gap: by chance none does once in 500 million times


def judge_window_start(inputs: HealthInputs) -> Finding:
    """Return a warning where nobody came for long after the start, at a pace at which many would have."""
    first_at, started_at, as_of = inputs.lake.first_exposures.first_at, inputs.experiment.started_at, inputs.as_of
    if first_at is None or started_at is None or as_of is None:
        detail = "There is no exposure yet."
        return Finding("window_start_unknown", Severity.OK, "No exposure yet", detail, {"first_exposure_at": None})
    gap, since = first_at - started_at, as_of - first_at
    expected = inputs.lake.first_exposures.identities * (gap / since) if since else 0.0
    evidence = {
        "started_at": iso_utc(started_at),
        "first_exposure_at": iso_utc(first_at),
        "gap_seconds": gap.total_seconds(),
    }
    told = f"The first exposure is of {first_at:%Y-%m-%d %H:%M} UTC, the start of {started_at:%Y-%m-%d %H:%M} UTC"
    if gap > inputs.thresholds.uncovered_start and expected >= EXPECTED:
        detail = (
            f"{told}: nobody came in between, where {expected:,.0f} identities would have at the pace since. Where "
            "events are kept for less time than the experiment runs, first exposures are missing and later ones stand "
            "in their place: load the older events, or move started_at to where they begin."
        )
        missing = {**evidence, "expected_identities": expected}
        return Finding("window_not_covered", Severity.WARNING, "Window not covered by data", detail, missing)
    return Finding("window_covered", Severity.OK, "Window covered by data", f"{told}.", evidence)


CHECK = HealthCheck(
    name="window_covered",
    artifact="srm",
    description="Exposures begin with the experiment, and not where the data that are kept begin (rule X8).",
    judge=judge_window_start,
    in_place=False,
)
