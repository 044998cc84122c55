"""Work of a warehouse: what it cost, for the metadata of assets, and what results say of it (rules N5, N10)."""

import dagster as dg

from experiment_pipeline.assets.metadata import Metadata
from experiment_pipeline.resources.refresh_session import ExperimentRun
from experiment_pipeline.results.payload import EnginePayload
from experiment_pipeline.warehouse.costs import Cost

IDS_SHOWN = 20


def cost_metadata(cost: Cost | None) -> Metadata:
    """Return the metadata of an asset about what it cost; none of the embedded engine."""
    if cost is None:
        return {}
    found: Metadata = {
        "statements": dg.MetadataValue.int(cost.statements),
        "warehouse_seconds": dg.MetadataValue.float(round(cost.seconds, 3)),
    }
    for name, number in (("read_rows", cost.read_rows), ("read_bytes", cost.read_bytes)):
        if number is not None:
            found[name] = dg.MetadataValue.int(number)
    if cost.query_ids:
        found["query_ids"] = dg.MetadataValue.json(list(cost.query_ids[:IDS_SHOWN]))
    return found


def engine_payload(run: ExperimentRun) -> EnginePayload | None:
    """Return what results say of the warehouse that computed them; None of the embedded engine."""
    offers = run.engine.capabilities
    if offers.in_place is None:
        return None
    metrics = tuple(each.metric for each in run.experiment.metrics)
    rejected = offers.in_place.rejected_rows(run.scope, metrics)
    return {"name": offers.engine, "not_computed": list(offers.refused), "rejected": dict(rejected)}
