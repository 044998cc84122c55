"""Whether traffic has suddenly dropped: a flag that is switched off, or exposures that are no longer sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

WEEK = 7  # days that a day is compared with, so that a weekend is among them; and days for which a drop is told
LEAST = 100  # new identities on the weakest of these days: half of fewer may be chance
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Some last whole days, and the week before them: new identities on the strongest and on the weakest day."""

    first: date
    strongest: int
    weakest_before: int


def judge_traffic(inputs: HealthInputs) -> Finding:
    """Return a warning where every day since some day has far fewer new identities than any day of the week before."""
    candidates = list(_last_days(inputs))
    if not candidates:
        detail = "Traffic is judged while an experiment runs, from its eighth whole day on."
        return Finding("traffic_not_judged", Severity.OK, "Traffic not judged", detail, {"since": None})
    part = inputs.thresholds.traffic_drop
    dropped = [each for each in candidates if each.weakest_before >= LEAST]
    dropped = [each for each in dropped if each.strongest < part * each.weakest_before]
    shown = dropped[-1] if dropped else candidates[0]
    evidence = {
        "since": shown.first.isoformat(),
        "new_identities": shown.strongest,
        "weakest_of_week_before": shown.weakest_before,
    }
    told = (
        f"Since {shown.first} no day had more than {shown.strongest:,} new identities; the weakest of the seven days "
        f"before had {shown.weakest_before:,}"
    )
    if dropped:
        detail = (
            f"{told}. See whether the flag is still served to all who should get it, whether a release has removed the "
            "exposure, and whether events still arrive (`experiment-pipeline lake status`)."
        )
        return Finding("traffic_dropped", Severity.WARNING, "Traffic dropped", detail, evidence)
    return Finding("traffic_steady", Severity.OK, "Traffic steady", f"{told}.", evidence)


def _last_days(inputs: HealthInputs) -> Iterator[Days]:
    """Yield the last whole day, the last two, and so on, as far as a whole week of the experiment is before them."""
    experiment, by_day = inputs.experiment, inputs.lake.first_exposures.by_day
    if inputs.as_of is None or experiment.started_at is None or experiment.ended_at is not None:
        return
    last, started_on = inputs.as_of.astimezone(UTC).date() - DAY, experiment.started_at.date()
    for days in range(WEEK):
        first = last - days * DAY
        if first - WEEK * DAY <= started_on:  # the first day may not be whole
            return
        now = [by_day.get(last - each * DAY, 0) for each in range(days + 1)]
        before = [by_day.get(first - each * DAY, 0) for each in range(1, WEEK + 1)]
        yield Days(first, max(now), min(before))


CHECK = HealthCheck(
    name="traffic_steady",
    artifact="srm",
    description="The last whole days have no sudden drop of new identities against the week before.",
    judge=judge_traffic,
    in_place=False,
)
