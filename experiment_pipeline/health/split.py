"""Whether identities split between the variants as configured (rules S1-S3)."""

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.results.model import Split
from experiment_pipeline.stats.not_computable import NotComputable


def judge_split(inputs: HealthInputs) -> Finding:
    """Fail where the shares are not those configured, by the anytime-valid test; pass where that is not known yet."""
    split = inputs.results.split
    evidence = {"identities": split.identities, "expected_shares": split.shares, "reason": split.untested or "tested"}
    if isinstance(split.anytime, NotComputable):
        detail = f"The split could not be tested: {split.untested}."
        return Finding("split_not_tested", Severity.OK, "Split not tested", detail, evidence)
    if not split.anytime.mismatch:
        detail = f"{_counts(split)} identities do not contradict the configured shares."
        return Finding("split_as_configured", Severity.OK, "Split as configured", detail, evidence)
    detail = (
        f"{_counts(split)} identities are too far from the configured shares to be chance. "
        "Do not decide on these results: look for exposures that are lost, or sent twice, in one variant alone."
    )
    return Finding("sample_ratio_mismatch", Severity.ERROR, "Sample ratio mismatch", detail, evidence)


def _counts(split: Split) -> str:
    return ", ".join(f"{printable(variant)}: {count:,}" for variant, count in split.identities.items())


CHECK = HealthCheck(
    name="split_as_configured",
    artifact="srm",
    description="No sample ratio mismatch by the anytime-valid test at 0.001, valid at every refresh (rule S3).",
    judge=judge_split,
)
