"""Results of a component: the table of the project that they are written to, and what the asset shows of them (P7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import duckdb
import polars as pl
from dagster_duckdb import DuckDBResource

from experiment_pipeline.assets.columns import PARTITION_ROWS, SCHEMA
from experiment_pipeline.assets.metadata import Metadata, short_table
from experiment_pipeline.automation.component.fields import TableFields
from experiment_pipeline.domain.refresh import ComputationState
from experiment_pipeline.domain.sources import DUCKDB, Source
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.results_table import COLUMNS, LOOK_KEY, ColumnOrigin

COLUMN_LINEAGE, TABLE_NAME = "dagster/column_lineage", "dagster/table_name"  # names that Dagster's pages know
IN_MEMORY, SERVICE = ":memory:", "md:"
SHOWN = ("metric", "treatment", "verdict", "lift", "lift_low", "lift_high", "effect", "reason")
Row = Mapping[str, object]


def results_definition(table: str | None) -> dict[str, dg.TableSchema | str]:
    """Return the columns of the results table, and its name if it has one, as metadata of the asset's definition."""
    columns = [dg.TableColumn(each.name, each.type, each.description) for each in COLUMNS]
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


@dataclass(frozen=True, slots=True)
class WarehouseDatabase:
    """The DuckDB database that is a resource of the project.

    Attributes:
        key: of the resource, for messages.
        resource: of the project.
    """

    key: str
    resource: object

    @property
    def url(self) -> str:
        """The URL that its tables are read by.

        Raises:
            ConfigurationError: the resource is none of DuckDB, or its database is not in a file.
        """
        path = self._resource.database
        if path.startswith((IN_MEMORY, SERVICE)) or not path:
            message = f"Its database is {path or IN_MEMORY}: must be a file, which can be read while others use it."
            raise ConfigurationError.of(f"warehouse ({self.key})", message)
        return f"{DUCKDB}{path}"

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Write the rows of one look, in the place of those that the table has of it: all of them, or none.

        Raises:
            ConfigurationError: the table is none that can be written.
        """
        if not rows:
            return
        try:
            with self._resource.get_connection() as connection, connection:
                connection.execute("begin")
                connection.execute(_create(table))
                connection.execute(f"delete from {table} {_of_look()}", [rows[0][name] for name in LOOK_KEY])
                values = [[_plain(row[each.name]) for each in COLUMNS] for row in rows]
                connection.executemany(_insert(table), values)
                connection.execute("commit")
        except duckdb.Error as error:
            message = f"Cannot be written to {table}: {' '.join(str(error).split())[:300]}"
            raise ConfigurationError.of("results.table", message) from error

    def holds(self, table: str, row: Row) -> bool:
        """Whether the table has rows of the look that a row is of."""
        try:
            with self._resource.get_connection() as connection, connection:
                look = f"select 1 from {table} {_of_look()} limit 1"
                found = connection.execute(look, [row[name] for name in LOOK_KEY]).fetchall()
        except duckdb.CatalogException:
            return False
        return bool(found)

    @property
    def _resource(self) -> DuckDBResource:
        if not isinstance(self.resource, DuckDBResource):
            message = (
                f"Is a {type(self.resource).__name__}: only a DuckDBResource can be read. Name the database in "
                "`connections` by a url_env, and that connection in `warehouse`."
            )
            raise ConfigurationError.of(f"warehouse ({self.key})", message)
        return self.resource


def _create(table: str) -> str:
    columns = ", ".join(f"{each.name} {each.type}" for each in COLUMNS)
    return f"create table if not exists {table} ({columns})"


def _insert(table: str) -> str:
    names, places = ", ".join(each.name for each in COLUMNS), ", ".join("?" for _ in COLUMNS)
    return f"insert into {table} ({names}) values ({places})"


def _of_look() -> str:
    return "where " + " and ".join(f"{name} = ?" for name in LOOK_KEY)


def _plain(value: object) -> object:
    """Return a cell as DuckDB takes it: a text of a type of its own as text."""
    return str(value) if isinstance(value, str) else value
