"""Health checks and the contract of first exposures as Dagster's asset checks, one outcome per partition."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.errors import ContractBroken
from experiment_pipeline.health.catalogue import HEALTH_CHECKS
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.resources.dagster_instance import SEVERITIES, newest_evaluation
from experiment_pipeline.results.payload import FoundPayload

FIRST_EXPOSURES = "first_exposures"
CONTRACT = "exposure_contract_kept"
CONTRACT_DESCRIPTION = (
    "First exposures are one complete row per identity, in the window. Blocking: else nothing is published."
)


def contract_spec() -> dg.AssetCheckSpec:
    """Return the spec of the contract of first exposures: what breaks it blocks every step after it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*partitions_def.*", category=dg.PreviewWarning)
        return dg.AssetCheckSpec(
            CONTRACT,
            asset=FIRST_EXPOSURES,
            description=CONTRACT_DESCRIPTION,
            blocking=True,
            partitions_def=EXPERIMENTS,
        )


def contract_result(broken: ContractBroken | None = None) -> dict[str, dg.AssetCheckResult]:
    """Return the outcome of the contract's check, by its name."""
    told = "Every identity has one complete row, in the window." if broken is None else str(broken)
    result = dg.AssetCheckResult(
        asset_key=FIRST_EXPOSURES, check_name=CONTRACT, passed=broken is None, description=told
    )
    return {CONTRACT: result}


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


def repeat_outcomes(
    instance: dg.DagsterInstance, partition_key: str, checks: Iterable[HealthCheck] = HEALTH_CHECKS
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the newest outcome of every check of a partition again, for a run that leaves its results as they are.

    Dagster plans the checks of a run at its start; one without an outcome would be shown as skipped, its failure gone.
    """
    named = [(FIRST_EXPOSURES, CONTRACT), *((check.artifact, check.name) for check in checks)]
    for artifact, name in named:
        key = dg.AssetCheckKey(dg.AssetKey(artifact), name)
        if (outcome := newest_evaluation(instance, key, partition_key)) is not None:
            yield outcome


def judge(
    inputs: HealthInputs, checks: Iterable[HealthCheck] = HEALTH_CHECKS, *, warehouse: str | None = None
) -> dict[HealthCheck, Finding]:
    """Return the finding of every check.

    Args:
        inputs: of the checks.
        checks: to make.
        warehouse: the engine that analyses events where they lie, which does not count what every check asks for; None
            for the embedded engine.
    """
    return {
        check: check.judge(inputs) if warehouse is None or check.in_place else check.not_made(warehouse)
        for check in checks
    }


def stored_findings(findings: Mapping[HealthCheck, Finding]) -> list[dict[str, Any]]:
    """Return findings as they are stored, each with the name of its check."""
    return [{"check": check.name, **finding.to_json()} for check, finding in findings.items()]


def found_payload(findings: Mapping[HealthCheck, Finding]) -> list[FoundPayload]:
    """Return the findings that did not pass, as a results payload has them."""
    return [
        {
            "check": check.name,
            "code": finding.code,
            "severity": "error" if finding.severity is Severity.ERROR else "warning",
            "title": finding.title,
        }
        for check, finding in findings.items()
        if not finding.passed
    ]


def check_results(artifact: str, findings: Mapping[HealthCheck, Finding]) -> dict[str, dg.AssetCheckResult]:
    """Return the outcome of every check of one artifact, by the checks' names."""
    return {
        check.name: _check_result(check, finding) for check, finding in findings.items() if check.artifact == artifact
    }


def _check_result(check: HealthCheck, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.artifact,
        check_name=check.name,
        passed=finding.passed,
        severity=SEVERITIES[finding.severity],
        description=f"{finding.title}. {finding.detail}",
        metadata={"code": finding.code, **finding.evidence},
    )
