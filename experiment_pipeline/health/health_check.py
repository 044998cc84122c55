"""A health check: its name, the artifact that it is about, and the pure function that judges."""

from collections.abc import Callable
from dataclasses import dataclass

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs

NOT_MADE = "not_checked_in_warehouse"  # code of the finding


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One check of this folder: a module beside this one that holds it as `CHECK`.

    Attributes:
        name: in snake_case; unique, and for good: Dagster keeps a history by it.
        artifact: of the results stage (`srm`, `bayesian_results` or `experiment_results`); people find the check there.
        description: one sentence that says what holds while the check passes.
        judge: a pure function of the inputs.
        in_place: whether it is made, too, where a warehouse analyses events that are not in the lake (rule N10).
    """

    name: str
    artifact: str
    description: str
    judge: Callable[[HealthInputs], Finding]
    in_place: bool = True

    def not_made(self, engine: str) -> Finding:
        """Return the finding of an engine that does not count what the check asks for."""
        detail = (
            f"Events of this environment are analysed where they lie, in {engine}, and what this check asks for is not "
            "counted there. docs/engines.md lists what is."
        )
        return Finding(NOT_MADE, Severity.OK, "Not checked in the warehouse", detail, {"engine": engine})
