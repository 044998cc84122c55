"""Results of a component: what the asset shows of them (P7)."""

from collections.abc import Mapping, Sequence

import dagster as dg
import polars as pl

from experiment_pipeline.assets.columns import PARTITION_ROWS, SCHEMA
from experiment_pipeline.assets.metadata import Metadata, short_table
from experiment_pipeline.automation.component.fields import TableFields
from experiment_pipeline.domain.refresh import ComputationState
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.results_table import COLUMNS, ColumnOrigin

COLUMN_LINEAGE, TABLE_NAME = "dagster/column_lineage", "dagster/table_name"  # names that Dagster's pages know
SHOWN = ("metric", "treatment", "verdict", "lift", "lift_low", "lift_high", "effect", "reason")
Row = Mapping[str, object]


def results_definition(table: str | None) -> dict[str, dg.TableSchema | str]:
    """Return the columns of the results table, and its name if it has one, as metadata of the asset's definition."""
    columns = [dg.TableColumn(each.name, each.type.value, each.description) for each in COLUMNS]
    return {SCHEMA: dg.TableSchema(columns=columns), **({} if table is None else {TABLE_NAME: table})}


def column_lineage(tables: Sequence[TableFields], sources: Mapping[str, Source]) -> dg.TableColumnLineage | None:
    """Return the columns of the assets upstream that each column of the results is made of; None where none is known.

    A table that is read by a query may have other columns than its asset, so it has none here.

    Args:
        tables: of the component.
        sources: the same, as they are declared, by name.
    """
    found: dict[ColumnOrigin, list[dg.TableColumnDep]] = {ColumnOrigin.EXPOSURES: [], ColumnOrigin.EVENTS: []}
    for table in tables:
        if table.asset is None or table.query is not None or table.name not in sources:
            continue
        for mapping in sources[table.name].mappings:
            columns = dict.fromkeys(column for _, column in mapping.columns())
            deps = [dg.TableColumnDep(asset_key=table.asset, column_name=column) for column in columns]
            found[ColumnOrigin.EVENTS] += deps
            if mapping.is_exposure:
                found[ColumnOrigin.EXPOSURES] += deps
    if not found[ColumnOrigin.EVENTS]:
        return None
    return dg.TableColumnLineage({each.name: found[each.origin] for each in COLUMNS if found.get(each.origin)})


def results_metadata(
    published: ComputationState[ResultsPayload], rows: Sequence[Row], lineage: dg.TableColumnLineage | None
) -> Metadata:
    """Return what the asset shows of one look."""
    shown = pl.DataFrame([{name: row[name] for name in SHOWN} for row in rows], infer_schema_length=None)
    look = rows[0]["look"] if rows else None
    metadata: Metadata = {
        "results": short_table(shown),
        "final": dg.MetadataValue.bool(published.is_final),
        PARTITION_ROWS: dg.MetadataValue.int(len(rows)),
    }
    if lineage is not None:
        metadata[COLUMN_LINEAGE] = dg.MetadataValue.column_lineage(lineage)
    if isinstance(look, int):
        metadata["look"] = dg.MetadataValue.int(look)
    if published.as_of is not None:
        metadata["as_of"] = dg.MetadataValue.timestamp(published.as_of)
    return metadata
