"""What an engine must do: turn raw events into first exposures, buckets and aggregates.

An engine owns its identity-level rows (`first_exposures`); they never leave it. Everything it hands back is small.
Every engine runs the same contract suite (tests/warehouse/contract.py) and must agree with the plain-Python reference.
"""

from dataclasses import dataclass
from typing import Protocol

import polars as pl

from experiment_pipeline.domain.experiments import Experiment, MultipleExposures
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.errors import NotStarted, Superseded
from experiment_pipeline.warehouse.artifacts import Stamp


@dataclass(frozen=True, slots=True)
class AnalysisScope:
    """Which events one run of one experiment looks at: fixed for the whole run (rule R5).

    partition_key: names the engine's identity-level artifact
    data_version:  rows with `batch <= data_version` (rule E6); 0 is a lake without events
    """

    partition_key: str
    environment_key: str
    feature: str
    window: Window
    data_version: int
    multiple_exposures: MultipleExposures = MultipleExposures.EXCLUDE

    @classmethod
    def of(cls, experiment: Experiment, run: RefreshRun) -> "AnalysisScope":
        """The scope of one run of an experiment. Raises NotStarted for one without a window (rule X1)."""
        if experiment.started_at is None:
            raise NotStarted(f"{experiment.key}: has not started.")
        return cls(
            partition_key=experiment.partition_key,
            environment_key=experiment.environment_key,
            feature=experiment.feature,
            window=Window(experiment.started_at, run.as_of),
            data_version=run.data_version,
            multiple_exposures=experiment.multiple_exposures,
        )

    def require_same(self, upstream: Stamp) -> None:
        """Refuse an upstream artifact of another as-of or data version (rule R5). Raises Superseded."""
        if (upstream.window, upstream.data_version) != (self.window, self.data_version):
            raise Superseded(
                f"an upstream artifact was computed as of {upstream.window.as_of} at data version "
                f"{upstream.data_version}, this run is as of {self.window.as_of} at {self.data_version}. "
                "Materialise the upstream asset in the same run."
            )


@dataclass(frozen=True, slots=True)
class FirstExposures:
    """What became of the identity-level artifact. Counts are identities, over all variants.

    identities:  first exposed in the window
    quarantined: of these, seen with more than one variant (rule X3), whatever the policy
    sql:         the statement that made it, and its bound parameters
    """

    identities: int
    quarantined: int
    sql: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A small result and the SQL that made it."""

    rows: pl.DataFrame
    sql: str


class Warehouse(Protocol):
    """One engine over one events lake."""

    def write_first_exposures(self, scope: AnalysisScope) -> FirstExposures:
        """Compute rules X1-X3 over the scope and replace the partition's artifact as one atomic step."""

    def stamp(self, partition_key: str) -> Stamp:
        """What the stored first exposures were computed from: downstream artifacts inherit it (rule R5).

        Raises ArtifactMissing when there are none.
        """

    def exposure_buckets(self, scope: AnalysisScope) -> Frame:
        """Rows `bucket` (UTC datetime), `variant`, `quarantined`, `new_identities`, from the stored first exposures.

        `quarantined` is True only for identities that the policy excludes; sorted by (bucket, variant, quarantined).
        """

    def variant_aggregates(self, scope: AnalysisScope, metrics: tuple[Metric, ...]) -> Frame:
        """Rows `metric_id`, `variant`, `n`, `mean`, `m2`, `values`, `invalid_values`: rules M2-M5, E5, one row per
        (metric, variant). `values` are events whose value the metric reads as a number, 0 for one that reads none.

        Every variant that the artifact holds has a row per metric, those without events included; without metrics
        there are no rows. `n` comes from the first exposures (rule M4). Sorted by (metric_id, variant).
        """

    def variant_identities(self, scope: AnalysisScope) -> dict[str, int]:
        """Analysed identities per variant seen, from the stored first exposures: what SRM is tested on (rule S1)."""
