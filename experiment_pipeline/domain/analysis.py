"""Analysis: which events one run of one experiment looks at, whatever the engine (rule R5)."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiment_pipeline.domain.audience import EVERYBODY, Audience
from experiment_pipeline.domain.experiments import Experiment, MultipleExposures
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.errors import NotStarted, Superseded, UnsoundLake


@dataclass(frozen=True, slots=True)
class AnalysisScope:
    """Scope of one run of one experiment: the events that it looks at, fixed for the whole run (rule R5).

    Attributes:
        partition_key: names the engine's identity-level artifact, with `phase`.
        feature: the flag whose exposures make identities count; None for everybody who did anything in the environment
            in the window, each from the first event there on.
        data_version: rows with `batch <= data_version` are read (rule E6); 0 is a lake without events.
        installation: the id of the installation that computes; None before its first ingestion.
        variants: those that are compared, and so aggregated; None for every variant that was seen. Whoever sends
            exposures chooses how many these are.
        audience: the identities that are analysed, and what they are grouped by.
        phase: of the experiment; every phase has artifacts of its own (rule X9).
    """

    partition_key: str
    environment_key: str
    feature: str | None
    window: Window
    data_version: int
    multiple_exposures: MultipleExposures = MultipleExposures.EXCLUDE
    variants: tuple[str, ...] | None = None
    installation: str | None = None
    audience: Audience = EVERYBODY
    phase: int = 1

    @classmethod
    def of(cls, experiment: Experiment, run: RefreshRun, installation: str | None = None) -> "AnalysisScope":
        """Return the scope of one run of an experiment.

        Raises:
            NotStarted: the experiment has no window (rule X1).
        """
        if experiment.started_at is None:
            raise NotStarted(f"{experiment.key}: has not started.")
        return cls(
            partition_key=experiment.partition_key,
            environment_key=experiment.environment_key,
            feature=experiment.feature,
            window=Window(experiment.started_at, run.as_of),
            data_version=run.data_version,
            multiple_exposures=experiment.multiple_exposures,
            variants=tuple(experiment.compared_keys),
            installation=installation,
            audience=experiment.audience,
            phase=experiment.phase,
        )

    def aggregated(self, identities: Mapping[str, int]) -> dict[str, int]:
        """Return the identities of the variants that are aggregated; as many others may have been seen."""
        variants = identities if self.variants is None else sorted(self.variants)
        return {variant: identities[variant] for variant in variants if variant in identities}

    def require_same(self, window: Window, data_version: int, installation: str | None) -> None:
        """Refuse an upstream artifact of another window, data version or installation (rule R5).

        Raises:
            UnsoundLake: another installation's run has written it.
            Superseded: it was computed for another run.
        """
        if None not in (installation, self.installation) and installation != self.installation:
            raise UnsoundLake(
                f"An artifact of {self.partition_key} was replaced by another installation, which uses the same data "
                "directory. Stop it, then refresh again."
            )
        if (window, data_version) != (self.window, self.data_version):
            raise Superseded(
                f"an upstream artifact was computed as of {window.as_of} at data version {data_version}, this run is "
                f"as of {self.window.as_of} at {self.data_version}. Materialise the upstream asset in the same run."
            )
