"""A health check: its name, the artifact that it is about, and the pure function that judges."""

from collections.abc import Callable
from dataclasses import dataclass

from experiment_pipeline.health.finding import Finding
from experiment_pipeline.health.inputs import HealthInputs


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One check of this folder: a module beside this one that holds it as `CHECK`.

    Attributes:
        name: in snake_case; unique, and for good: Dagster keeps a history by it.
        artifact: of the results stage (`srm`, `bayesian_results` or `experiment_results`); people find the check there.
        description: one sentence that says what holds while the check passes.
        judge: a pure function of the inputs.
    """

    name: str
    artifact: str
    description: str
    judge: Callable[[HealthInputs], Finding]
