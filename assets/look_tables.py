"""The Delta tables of all looks: what was published and is not in them yet, once (docs/tables.md)."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from experiment_pipeline.assets.columns import ROWS, SCHEMA
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.results.published_tables import EXPOSURES_TIMESERIES, PUBLISHED_TABLES, PublishedTable
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.tables.writer import LookTables

GROUP = "tables"


def table_key(table: PublishedTable) -> dg.AssetKey:
    """Return the key of a table's asset."""
    return dg.AssetKey([GROUP, table.name])


def _spec(table: PublishedTable) -> dg.AssetSpec:
    columns = [dg.TableColumn(each.name, each.type.value, each.description) for each in table.columns]
    return dg.AssetSpec(
        table_key(table),
        deps=["exposures" if table is EXPOSURES_TIMESERIES else "experiment_results"],
        description=table.description,
        metadata={SCHEMA: dg.TableSchema(columns=columns)},
        group_name=GROUP,
        kinds={"deltalake"},
        skippable=True,
    )


# One that is asked for by its name writes all of them, which are of one batch, and reports itself alone.
@dg.multi_asset(specs=[_spec(table) for table in PUBLISHED_TABLES], can_subset=True)
def look_tables(
    context: dg.AssetExecutionContext, runs: dg.ResourceParam[RefreshSession]
) -> Iterator[dg.MaterializeResult[None]]:
    """Every look that was published, with its results, exposures and findings."""
    tables = LookTables(places_of(runs.settings).tables, runs.registry.table_outbox)
    done = tables.write(datetime.now(UTC))
    if done.batch is None:
        context.log.info("Nothing is due: %s publications wait.", done.waiting)
    rows, held = tables.row_counts(), tables.held_batches()
    for table in PUBLISHED_TABLES:
        if table_key(table) in context.selected_asset_keys:
            yield dg.MaterializeResult(
                asset_key=table_key(table),
                metadata={
                    ROWS: rows[table.name],
                    "rows_written": done.rows.get(table.name, 0),
                    "looks_written": done.looks,
                    "batch": held[table.name],
                    "publications_waiting": done.waiting,
                    "is_rebuild": done.batch is not None and done.batch.is_rebuild,
                },
            )
