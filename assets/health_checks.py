"""Health checks as Dagster's asset checks, one outcome per partition."""

import warnings
from collections.abc import Iterable

import dagster as dg

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.health.catalogue import HEALTH_CHECKS
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

SEVERITIES = {
    Severity.OK: dg.AssetCheckSeverity.ERROR,  # Dagster wants one of a check that passed, too, and shows none
    Severity.WARNING: dg.AssetCheckSeverity.WARN,
    Severity.ERROR: dg.AssetCheckSeverity.ERROR,
}


def check_specs(checks: Iterable[HealthCheck] = HEALTH_CHECKS) -> list[dg.AssetCheckSpec]:
    """Return the spec of every check. None is blocking: results are published with what was found."""
    with warnings.catch_warnings():
        # Without partitions, one experiment's pass would stand in the place of another's failure.
        warnings.filterwarnings("ignore", message=".*partitions_def.*", category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                check.name, asset=check.artifact, description=check.description, partitions_def=EXPERIMENTS
            )
            for check in checks
        ]


def check_results(
    artifact: str, inputs: HealthInputs, checks: Iterable[HealthCheck] = HEALTH_CHECKS
) -> dict[str, dg.AssetCheckResult]:
    """Return the outcome of every check of one artifact, by the checks' names."""
    return {check.name: _check_result(check, check.judge(inputs)) for check in checks if check.artifact == artifact}


def _check_result(check: HealthCheck, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.artifact,
        check_name=check.name,
        passed=finding.passed,
        severity=SEVERITIES[finding.severity],
        description=f"{finding.title}. {finding.detail}",
        metadata={"code": finding.code, **finding.evidence},
    )
