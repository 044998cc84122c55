"""Whether identities saw another variant in an earlier phase, which may still work on them (rule X11)."""

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs


def judge_earlier_phases(inputs: HealthInputs) -> Finding:
    """Return a warning with the number of such identities and their share of all that are analysed."""
    phases, changed = len(inputs.experiment.earlier_phases), inputs.lake.saw_another_variant
    identities = sum(inputs.identities.values())
    share = changed / identities if identities else 0.0
    evidence = {"earlier_phases": phases, "identities": changed, "share": share}
    if not changed:
        detail = (
            f"No identity saw another variant in the {phases} earlier phases."
            if phases
            else "There is no earlier phase."
        )
        return Finding("same_variant_in_every_phase", Severity.OK, "The same variant in every phase", detail, evidence)
    detail = (
        f"{changed:,} of {identities:,} identities ({100 * share:.3g} %) saw another variant in an earlier phase. What "
        "they saw then may still work on them, and makes the variants more alike. For new identities alone, use a new "
        "flag and a new experiment; or leave these out by a condition on their traits."
    )
    return Finding(
        "another_variant_in_earlier_phase", Severity.WARNING, "Another variant in an earlier phase", detail, evidence
    )


CHECK = HealthCheck(
    name="same_variant_in_every_phase",
    artifact="srm",
    description="No analysed identity saw another variant in an earlier phase of the experiment (rule X11).",
    judge=judge_earlier_phases,
    in_place=False,
)
