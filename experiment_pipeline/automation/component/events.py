"""Events of a component's run: materialisations and checks of every partition, also where the run fails (P2).

Events are yielded, not logged through the context: Dagster drops what is logged there when a step fails.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)

from experiment_pipeline.assets.health_checks import CONTRACT
from experiment_pipeline.assets.metadata import Metadata
from experiment_pipeline.assets.stages import STAGES, StageOutput
from experiment_pipeline.health.catalogue import HEALTH_CHECKS
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.resources.dagster_instance import SEVERITIES, newest_materialization

RESULTS = "experiment_results"  # of the stages' assets, the one that every component has
STAGE_ASSETS = tuple(asset for stage in STAGES for asset in stage.assets)
OF_API = "api_"  # of metadata that links to the HTTP API, which a team's own project does not have
COMPUTED = "results_are_computed"
COMPUTED_DESCRIPTION = "The experiment was computed at the last run; the error, where it was not."

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation


@dataclass(slots=True)
class ComponentEvents:
    """The events of one partition of a component's assets.

    Attributes:
        keys: of the assets, by the names that stages have for them; those that are not shown are left out.
        partition_key: of the experiment.
        instance: Dagster's, for what was materialised before.
    """

    keys: Mapping[str, dg.AssetKey]
    partition_key: str
    instance: dg.DagsterInstance
    _newest: dict[dg.AssetKey, Target | None] = field(default_factory=dict)

    def materialised(self, asset: str, metadata: Metadata) -> Iterator[dg.AssetMaterialization]:
        """Yield the materialisation of an asset, where it is shown."""
        if asset in self.keys:
            self._newest.pop(self.keys[asset], None)
            shown = {name: value for name, value in metadata.items() if not name.startswith(OF_API)}
            yield dg.AssetMaterialization(self.keys[asset], partition=self.partition_key, metadata=shown)

    def checked(self, outputs: Sequence[StageOutput]) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the outcome of every health check of the stages' outputs.

        The contract of first exposures has none here: where it is broken, `results_are_computed` says so.
        """
        for output in outputs:
            for name, outcome in output.checks.items():
                if name == CONTRACT:
                    continue
                yield self._evaluation(
                    self.check_asset(output.asset),
                    name,
                    passed=outcome.passed,
                    severity=outcome.severity,
                    description=outcome.description,
                    metadata=outcome.metadata,
                )

    def found(self, findings: Sequence[Mapping[str, Any]]) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the outcome of every health check as it is stored, of results that stay as they are."""
        artifacts = {check.name: check.artifact for check in HEALTH_CHECKS}
        for finding in findings:
            severity = Severity(finding["severity"])
            if finding["check"] in artifacts:
                yield self._evaluation(
                    self.check_asset(artifacts[finding["check"]]),
                    finding["check"],
                    passed=severity is Severity.OK,
                    severity=SEVERITIES[severity],
                    description=f"{finding['title']}. {finding['detail']}",
                    metadata={"code": finding["code"], **finding["evidence"]},
                )

    def computed(self, description: str) -> dg.AssetCheckEvaluation:
        """Return that the experiment was computed, or needs no computation, and why."""
        return self._evaluation(self.keys[RESULTS], COMPUTED, passed=True, description=description)

    def failed(
        self, description: str, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    ) -> dg.AssetCheckEvaluation:
        """Return that the experiment was not computed, and why."""
        return self._evaluation(self.keys[RESULTS], COMPUTED, passed=False, severity=severity, description=description)

    def check_asset(self, artifact: str) -> dg.AssetKey:
        """Return the asset that has the checks of an artifact: its own where that is shown, or the results."""
        return self.keys.get(artifact, self.keys[RESULTS])

    def is_materialised(self, asset: str = RESULTS) -> bool:
        """Whether Dagster has a materialisation of the partition."""
        return self._target(self.keys[asset]) is not None

    def _target(self, asset: dg.AssetKey) -> Target | None:
        """Return the newest materialisation of the partition, which Dagster is asked for once."""
        if asset not in self._newest:
            self._newest[asset] = newest_materialization(self.instance, asset, self.partition_key)
        return self._newest[asset]

    def _evaluation(
        self,
        asset: dg.AssetKey,
        name: str,
        *,
        passed: bool,
        description: str | None,
        severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
        metadata: Mapping[str, Any] | None = None,
    ) -> dg.AssetCheckEvaluation:
        return dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=name,
            passed=passed,
            metadata=metadata,
            severity=severity,
            description=description,
            blocking=False,
            partition=self.partition_key,
            target_materialization_data=self._target(asset),
        )


def check_specs(
    keys: Mapping[str, dg.AssetKey], partitions: Mapping[str, dg.PartitionsDefinition[Any] | None]
) -> list[dg.AssetCheckSpec]:
    """Return the specs of every check, each on the asset that has it, and of the one that says that it was computed.

    Args:
        keys: of the assets that are shown, by the names that stages have for them.
        partitions: of each.
    """
    specs = []
    for name, artifact, description in (
        (COMPUTED, RESULTS, COMPUTED_DESCRIPTION),
        *((check.name, check.artifact, check.description) for check in HEALTH_CHECKS),
    ):
        shown = artifact if artifact in keys else RESULTS
        specs.append(
            dg.AssetCheckSpec(name, asset=keys[shown], description=description, partitions_def=partitions[shown])
        )
    return specs
