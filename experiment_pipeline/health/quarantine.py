"""Whether many identities saw several variants, and whether it matters that these are left out or kept (rule X3)."""

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.sensitivity import contradicts, verdict_and_effect
from experiment_pipeline.stats.srm import MINIMUM_IDENTITIES

ADVICE = (
    "Let the flag give an identity the same variant each time, and use one identifier from the first exposure to the "
    "last event."
)


def judge_quarantine(inputs: HealthInputs) -> Finding:
    """Return a warning where the other policy says something else of the primary metric, or many were quarantined."""
    counts, policy = inputs.lake.first_exposures, inputs.experiment.multiple_exposures
    share = counts.quarantined / counts.identities if counts.identities else 0.0
    contradicted = _contradicted(inputs)
    evidence = {
        "policy": policy.value,
        "identities": counts.identities,
        "quarantined": counts.quarantined,
        "share": share,
        "contradicted": contradicted,
    }
    told = f"{counts.quarantined:,} of {counts.identities:,} identities ({100 * share:.3g} %) saw several variants"
    if contradicted:
        detail = (
            f"{told}. On {', '.join(map(printable, contradicted))} the primary metric says the opposite under the "
            f"policy {_other(inputs)}: who saw several variants decides the result. Do not ship on it. {ADVICE}"
        )
        return Finding("policies_disagree", Severity.WARNING, "Exclude and first disagree", detail, evidence)
    if share > inputs.thresholds.quarantined and counts.identities >= MINIMUM_IDENTITIES:
        detail = f"{told}, over {100 * inputs.thresholds.quarantined:.3g} %. {ADVICE}"
        return Finding("many_quarantined", Severity.WARNING, "Many saw several variants", detail, evidence)
    return Finding("few_quarantined", Severity.OK, "Few saw several variants", f"{told}.", evidence)


def _contradicted(inputs: HealthInputs) -> list[str]:
    """Return the treatments on which the primary metric disagrees with itself under the other policy."""
    sensitivity = inputs.results.sensitivity
    other = None if sensitivity is None else sensitivity.readings.get(_other(inputs))
    if other is None:
        return []
    pairs = zip(inputs.results.metrics[0].comparisons, other.comparisons, strict=True)
    return [one.treatment for one, two in pairs if contradicts([verdict_and_effect(one), verdict_and_effect(two)])]


def _other(inputs: HealthInputs) -> str:
    return inputs.experiment.multiple_exposures.other.value


CHECK = HealthCheck(
    name="few_quarantined",
    artifact="srm",
    description="Few identities saw several variants, and leaving them out or not changes no verdict (rule X3).",
    judge=judge_quarantine,
    in_place=False,
)
