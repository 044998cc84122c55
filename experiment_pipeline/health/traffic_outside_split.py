"""Whether identities saw what the split does not provide for: an arm of share 0, or an unknown variant (rule S2)."""

from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.model import TrafficOutsideSplit

SHOWN = 60  # characters of a variant that a sender may have made up


def judge_traffic(inputs: HealthInputs) -> Finding:
    """Return an error where such traffic makes the split untrustworthy, a warning where there is little of it."""
    outside = inputs.results.split.outside
    evidence = {
        "without_share": outside.without_share,
        "unknown_variants": {shortened(variant, SHOWN): n for variant, n in outside.largest.items()},
        "unknown_identities": outside.unknown,
        "identities": outside.counted,
    }
    if not outside.identities:
        detail = "Every identity saw a variant with a share of the traffic."
        return Finding("traffic_in_split", Severity.OK, "Traffic within the split", detail, evidence)
    told = f"{outside.identities:,} of {outside.counted:,} identities saw {_named(outside)}."
    advice = "Correct the flag or the variant keys; name testers' and renamed variants in ignored_variants."
    if outside.mismatch:
        detail = f"{told} Over 1 % of them: nothing is called winning on such a split. {advice}"
        return Finding("traffic_outside_split", Severity.ERROR, "Traffic outside the split", detail, evidence)
    detail = f"{told} {advice}"
    return Finding("some_traffic_outside_split", Severity.WARNING, "Some traffic outside the split", detail, evidence)


def _named(outside: TrafficOutsideSplit) -> str:
    arms = [f"{printable(arm)} ({n:,}), which has no share" for arm, n in outside.without_share.items()]
    unknown = [f"the unknown {printable(shortened(variant, SHOWN))} ({n:,})" for variant, n in outside.largest.items()]
    more = outside.unknown - sum(outside.largest.values())
    others = [f"other unknown variants ({more:,})"] if more else []
    return ", ".join([*arms, *unknown, *others])


CHECK = HealthCheck(
    name="traffic_in_split",
    artifact="srm",
    description="At most 1 % of identities in arms of share 0 and in variants that are not configured (rule S2).",
    judge=judge_traffic,
)
