"""First exposures of an audience: the statement that makes the artifact, and the groups that it is broken down by."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.aggregates import Group, Part
from experiment_pipeline.domain.audience import Audience, crossed_name
from experiment_pipeline.domain.measures import Events
from experiment_pipeline.warehouse.duckdb.conditions import meets_all, path_of, text_of
from experiment_pipeline.warehouse.duckdb.statements import statement

Parameters: TypeAlias = dict[str, Any]

WRITTEN = "format parquet, parquet_version v2, compression snappy, kv_metadata {stamp: $stamp}"


def first_exposures_statement(audience: Audience) -> tuple[str, Parameters]:
    """Return the statement that writes the artifact of an audience, with the parameters that the audience gives.

    Its columns are `identity_hash`, `first_exposed_at_ms`, `variant`, `quarantined`, `entered_at_ms` (where the
    analysis of the identity starts; null where it never entered) and one for each dimension.
    """
    tables = {"first_exposure": statement("first_exposures")}
    columns, joins, conditions = ["first_exposure.*"], list[str](), list[str]()
    parameters: Parameters = {"exclude_identifiers": list(audience.exclude_identifiers) or None}
    if audience.reads_properties:
        tables["property"] = statement("first_exposure_properties")
        joins.append("join property using (identity_hash)")
    if audience.only:
        condition, bound = meets_all(audience.only, "only")
        conditions, parameters = [f"where {condition}"], parameters | bound
    for position, dimension in enumerate(audience.dimensions):
        columns.append(f"{text_of('traits', f'trait_{position}')} as {column_of(position)}")
        parameters[f"trait_{position}"] = path_of(f"traits.{dimension.trait}")[1]
    if audience.entry is None:
        columns.append("first_exposed_at_ms as entered_at_ms")
    else:
        tables["entry"], bound = _entry(audience.entry)
        parameters |= bound
        columns.append("entered_at_ms")
        joins.append("left join entry using (identity_hash)")
    kept = "materialized" if len(tables) > 1 else "not materialized"
    named = ",\n".join(f"{name} as {kept} (\n{sql.rstrip()}\n)" for name, sql in tables.items())
    selected = "\n".join([f"select {', '.join(columns)}", "from first_exposure", *joins, *conditions])
    return f"copy (\nwith {named}\n{selected}\norder by identity_hash\n) to $target ({WRITTEN})", parameters


@dataclass(frozen=True, slots=True)
class DimensionGroups:
    """The groups of one dimension.

    Attributes:
        name: of the dimension, or of two that are crossed.
        expression: its SQL over the columns of the artifact.
        values: the largest ones, the largest first.
    """

    name: str
    expression: str
    values: tuple[str | None, ...] = ()

    def code(self, parameter: str) -> str:
        """Return the SQL of the number of an identity's group: the values in their order, and then the others.

        Args:
            parameter: name of the parameter that `values` are bound to.
        """
        others = len(self.values)
        of_null = self.values.index(None) if None in self.values else others
        listed = f"list_position(${parameter}, {self.expression}) - 1"
        return f"case when {self.expression} is null then {of_null} else coalesce({listed}, {others}) end"

    def statement(self) -> str:
        """Return the SQL that reads the largest values."""
        artifact = f"select *, {self.expression} as value\nfrom read_parquet($first_exposures)"
        return f"with dimension as (\n{artifact}\n)\n{statement('dimension_values')}"

    def with_values_of(self, connection: DuckDBPyConnection, parameters: Parameters) -> "DimensionGroups":
        """Return the groups with the largest values of the artifact that the parameters name."""
        values = connection.execute(self.statement(), parameters).fetchall()
        return replace(self, values=tuple(value for (value,) in values))

    def group(self, code: int) -> Group:
        """Return the group of a number."""
        is_other = code == len(self.values)
        return Group(Part.DIMENSION, self.name, None if is_other else self.values[code], is_other)


def dimensions_of(audience: Audience) -> list[DimensionGroups]:
    """Return the dimensions of an audience, their values not known yet; those of two crossed ones are one text."""
    columns = {dimension.name: column_of(position) for position, dimension in enumerate(audience.dimensions)}
    crossed = {
        crossed_name((one, other)): f"to_json([{columns[one]}, {columns[other]}])::varchar"
        for one, other in audience.cross
    }
    return [DimensionGroups(name, expression) for name, expression in (columns | crossed).items()]


def column_of(position: int) -> str:
    """Return the name of a dimension's column."""
    return f"dimension_{position}"


def _entry(entry: Events) -> tuple[str, Parameters]:
    condition, parameters = meets_all(entry.where, "entry") if entry.where else ("true", {})
    columns = "identity_hash, epoch_ms(min(timestamp)) as entered_at_ms"
    sql = f"select {columns}\nfrom (\n{statement('entries')})\nwhere {condition}\ngroup by identity_hash"
    return sql, {**parameters, "entry_event": entry.name}
