"""Movement: what moved since the look before of the experiment's phase, by its ledger and the engine (rule R9)."""

from experiment_pipeline.domain.looks import Movement
from experiment_pipeline.resources.refresh_session import ExperimentRun
from experiment_pipeline.results.model import Split
from experiment_pipeline.warehouse.artifacts import code_version
from experiment_pipeline.warehouse.base import Warehouse


def movement(run: ExperimentRun, warehouse: Warehouse, split: Split) -> Movement:
    """Return the number of the look that a run is about to publish, and what moved since the one before."""
    previous, identities = (
        run.registry.looks.newest(run.experiment.id, run.experiment.phase),
        sum(split.identities.values()),
    )
    if previous is None:
        return Movement.first(identities)
    found = warehouse.late_analysis(run.scope, tuple(each.metric for each in run.experiment.metrics), previous)
    return Movement.since(previous, identities, found, code_version())
