"""Live statistics as they are served: those that were published, or what they lack before."""

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.refresh import StoredLiveStats
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.live_stats import live_stats


def served_live_stats(experiment: Experiment, stored: StoredLiveStats | None, floors: Floors) -> dict[str, object]:
    """Return the live statistics of an experiment, JSON-ready.

    Args:
        experiment: in the phase that is asked for.
        stored: with its newest results; None before any.
        floors: the least data that inference needs.
    """
    if stored is not None:
        return stored.to_json()
    nothing = live_stats(experiment, compute_results(experiment, {}, [], floors))
    return {**nothing, "as_of": None, "data_version": None, "is_final": False}
