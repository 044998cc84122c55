"""The fields of the components in YAML: the tables that a team has, connections, results and the registry."""

from typing import Annotated, Any, TypeAlias

import dagster as dg

Mapping: TypeAlias = dict[str, Any] | list[dict[str, Any]]


def _rendered(context: dg.ResolutionContext, given: Mapping) -> Mapping:
    rendered: Any = context.resolve_value(given)
    return rendered  # type: ignore[no-any-return] # of the same shape, with its templates filled in


class ConnectionFields(dg.Model, dg.Resolvable):
    """A database or files that are no resource of the project. One of both is given."""

    url_env: Annotated[
        str | None,
        dg.Resolver.default(
            description="The environment variable that holds the URL, with its password: postgresql://, clickhouse://, "
            "snowflake://, bigquery:// or duckdb://.",
            examples=["SHOP_DATABASE_URL"],
        ),
    ] = None
    url: Annotated[
        str | None,
        dg.Resolver.default(
            description="The URL of files or of a database in a file, where nobody signs in.",
            examples=["duckdb://data/shop.duckdb", "sqlite:///srv/shop.db"],
        ),
    ] = None


class TableFields(dg.Model, dg.Resolvable):
    """A table that the project makes, and the events that its rows are.

    It has a `table`, a `query` or `files`. Without a `cursor` the table is read whole, and what it holds now takes the
    place of what it held before; with one, the rows that are new are read.
    """

    name: Annotated[
        str,
        dg.Resolver.default(
            description="A name of its own, for messages: letters, digits and underscores.", examples=["orders"]
        ),
    ]
    mapping: Annotated[
        Mapping,
        dg.Resolver(  # Dagster's default one would drop the name that the field has in YAML
            _rendered,
            inject_before_resolve=False,
            model_field_name="as",
            model_field_type=Mapping,
            description="The columns that become the fields of an event, or a list of such: a wide row has several.",
            examples=[{"event": "purchased", "identifier": "user_id", "timestamp": "ordered_at", "value": "amount"}],
        ),
    ]
    asset: Annotated[
        dg.ResolvedAssetKey | None,
        dg.Resolver.default(description="The asset that makes the table.", examples=["analytics/fct_orders"]),
    ] = None
    table: Annotated[
        str | None,
        dg.Resolver.default(description="Its name in the database.", examples=["analytics.fct_orders"]),
    ] = None
    query: Annotated[
        str | None,
        dg.Resolver.default(
            description="One SELECT statement in its place; of files it reads from `files`.",
            examples=["select * from analytics.fct_orders where amount > 0"],
        ),
    ] = None
    files: Annotated[
        str | None,
        dg.Resolver.default(
            description="A path or a glob of Parquet, CSV or JSON lines, relative to the component's folder.",
            examples=["orders/*.parquet"],
        ),
    ] = None
    connection: Annotated[
        str | None,
        dg.Resolver.default(description="One of `connections`, in place of `warehouse`.", examples=["shop"]),
    ] = None
    environment: Annotated[
        str | None,
        dg.Resolver.default(description="The environment of its events, where the declarations have several."),
    ] = None
    timezone: Annotated[
        str | None,
        dg.Resolver.default(description="The time zone of times without one.", examples=["Europe/Berlin", "UTC"]),
    ] = None
    cursor: Annotated[
        dict[str, Any] | None,
        dg.Resolver.default(
            description="A column that grows, by which new rows are read, and how far back they may appear.",
            examples=[{"column": "loaded_at", "overlap": "PT1H"}],
        ),
    ] = None
    rows: Annotated[
        str | None,
        dg.Resolver.default(
            description="append: a row stays as it is; latest: of an event_id the row with the largest cursor counts."
        ),
    ] = None
    oldest: Annotated[
        str | None,
        dg.Resolver.default(description="The first day of data from before 2020.", examples=["2015-01-01"]),
    ] = None

    freshness: Annotated[
        str | None,
        dg.Resolver.default(
            description="How old the newest event may be when results are computed, before the check NAME_is_fresh "
            "warns.",
            examples=["PT6H", "P1D"],
        ),
    ] = None

    def declared(self, warehouse: str | None) -> dict[str, Any]:
        """Return the table as the source of a manifest.

        Args:
            warehouse: the connection of a table that names none.
        """
        query = f"select * from {self.table}" if self.table is not None and self.query is None else self.query
        connection = self.connection if self.connection is not None or self.files is not None else warehouse
        fields = {
            "as": self.mapping,
            "files": self.files,
            "connection": connection,
            "query": query,
            "environment": self.environment,
            "timezone": self.timezone,
            "cursor": self.cursor,
            "rows": self.rows,
            "oldest": self.oldest,
        }
        return {name: value for name, value in fields.items() if value is not None}


class ResultsFields(dg.Model, dg.Resolvable):
    """The asset of the results, and the table that they are written to."""

    key: Annotated[
        str,
        dg.Resolver.default(description="The key of the asset; `translation` can change it."),
    ] = "experiment_results"
    table: Annotated[
        str | None,
        dg.Resolver.default(
            description="A table of the `warehouse` that gets a row per experiment, metric, treatment and look. "
            "Nothing is written there without it.",
            examples=["analytics.experiment_results"],
        ),
    ] = None


class RegistryFields(dg.Model, dg.Resolvable):
    """The database that keeps what was declared and published."""

    url_env: Annotated[
        str,
        dg.Resolver.default(
            description="The environment variable that holds its URL, with the password.",
            examples=["EXPERIMENTS_REGISTRY_URL"],
        ),
    ]
