"""How a refresh is computed: what may be left unread, and what its assets say of it (rules I1, I4)."""

import dagster as dg

from experiment_pipeline.assets.metadata import Metadata
from experiment_pipeline.errors import IncrementalDiffers
from experiment_pipeline.registry.refresh_costs import RefreshCost
from experiment_pipeline.resources.refresh_session import ExperimentRun
from experiment_pipeline.warehouse.artifacts import Stamp
from experiment_pipeline.warehouse.refreshes import RefreshMode, RefreshReport


def refresh_mode(run: ExperimentRun) -> RefreshMode:
    """Return how a run may compute: incrementally unless that is off; as of the experiment's end it is audited."""
    if not run.settings.incremental_refresh:
        return RefreshMode.FULL
    ended_at = run.experiment.ended_at
    is_last = ended_at is not None and run.scope.window.as_of >= ended_at
    return RefreshMode.AUDITED if is_last else RefreshMode.INCREMENTAL


def refresh_metadata(report: RefreshReport) -> Metadata:
    """Return the metadata of an asset about how it was computed."""
    found: Metadata = {"refresh": dg.MetadataValue.text(report.text)}
    for name, number in (("rows_read", report.rows_read), ("state_bytes", report.state_bytes)):
        if number is not None:
            found[name] = dg.MetadataValue.int(number)
    if report.seconds_saved is not None:
        found["seconds_saved"] = dg.MetadataValue.float(round(report.seconds_saved, 3))
    if report.shared is not None:
        found["shared_by_experiments"] = dg.MetadataValue.int(report.shared.experiments)
        found["shared_files_read"] = dg.MetadataValue.int(report.shared.files)
        found["shared_rows_read"] = dg.MetadataValue.int(report.shared.rows)
    if report.is_audited:
        found["audit"] = dg.MetadataValue.text(report.difference or "incremental and full refresh are equal")
    return found


def store_refresh_cost(run: ExperimentRun, asset: str, report: RefreshReport) -> None:
    """Add to the registry what computing an asset cost, for Prometheus."""
    is_full = report.full_because is not None
    cost = RefreshCost(
        asset,
        incremental=int(not is_full),
        full=int(is_full),
        rows_read=report.rows_read or 0,
        seconds_saved=report.seconds_saved or 0.0,
        state_bytes=report.state_bytes or 0,
    )
    run.registry.refresh_costs.add(run.experiment.id, cost)


def require_no_difference(*stamps: Stamp) -> None:
    """Let a run fail whose audit found a difference, once it has published what was computed of everything.

    Raises:
        IncrementalDiffers: names what differed.
    """
    if found := [stamp.difference for stamp in stamps if stamp.difference is not None]:
        raise IncrementalDiffers(
            f"{stamps[0].partition_key}: the incremental refresh differed from the full one, which was published: "
            f"{'; '.join(found)}. Its state was dropped; EXPERIMENT_PIPELINE_INCREMENTAL_REFRESH=false turns it off."
        )
