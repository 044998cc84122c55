"""Work of a warehouse: what it cost, for the metadata of assets, and what results say of it (rules N5, N10)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import dagster as dg

from experiment_pipeline.assets.metadata import Metadata
from experiment_pipeline.health.inputs import WarehouseRows
from experiment_pipeline.health.loaded_in_order import NAME as LOADED_IN_ORDER
from experiment_pipeline.resources.refresh_session import ExperimentRun
from experiment_pipeline.results.payload import EnginePayload
from experiment_pipeline.times import iso_utc
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


def warehouse_rows(run: ExperimentRun, stored: Mapping[str, Mapping[str, Any]]) -> WarehouseRows | None:
    """Return what a look reads where events lie, beside what the look before had read; None of the embedded engine.

    Args:
        run: of the experiment.
        stored: evidence of the findings of the look before, by check.
    """
    offers, scope = run.engine.capabilities, run.scope
    if offers.in_place is None:
        return None
    events = sorted({name for each in run.experiment.metrics for name in each.metric.event_names})
    counts = offers.in_place.row_counts(scope, events)
    of: dict[str, Any] = {"started_at": iso_utc(scope.window.started_at), "events": events}
    read = {**of, "as_of": iso_utc(scope.window.as_of), "data_version": scope.data_version, "rows": counts.rows}
    before, again = stored.get(LOADED_IN_ORDER, {}), None
    is_alike = all(before.get(name) == value for name, value in of.items()) and "rows" in before
    if is_alike:
        window = replace(scope.window, as_of=datetime.fromisoformat(before["as_of"]))
        earlier = replace(scope, window=window, data_version=before["data_version"])
        again = offers.in_place.row_counts(earlier, events).rows
    cost = offers.in_place.cost(scope).to_json()
    return WarehouseRows(
        offers.engine, counts.rows, counts.rejected, read, before["rows"] if is_alike else None, again, cost
    )


def engine_payload(run: ExperimentRun, rows: WarehouseRows | None) -> EnginePayload | None:
    """Return what results say of the warehouse that computed them; None of the embedded engine."""
    if rows is None:
        return None
    refused = list(run.engine.capabilities.refused)
    return {"name": rows.engine, "not_computed": refused, "rejected": dict(rows.rejected)}
