"""An engine where events lie: how a statement is compiled for it and run (rule N1)."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ibis
import sqlglot
from sqlglot import exp

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.warehouse.ibis.events import EVENT_ROWS
from experiment_pipeline.warehouse.ibis.properties import PROPERTY_FUNCTIONS, PropertySql
from experiment_pipeline.warehouse.ibis.statements import statement

Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a statement, and where the engine says so what it read, and its name in the log (rule N5)."""

    rows: Rows
    read_rows: int | None = None
    read_bytes: int | None = None
    query_id: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """The SQL of an engine.

    Attributes:
        name: of the engine; `sql/<name>/events.sql` has the rows of its table of events.
        exact: functions that Ibis compiles to, which are approximate, with the exact ones (rule N9).
        properties: how it reads properties of events; None where conditions on them are refused.
        limits_by: whether `limit 1 by` keeps one row of each kind: it has one set of hashes, and `distinct` has
            one for each thread and another for all, which took twice as long of 3 million events.
        compiled_as: the SQL that Ibis and sqlglot know it by, where that has another name.
    """

    name: str
    exact: dict[str, str] = field(default_factory=dict)
    properties: PropertySql | None = None
    limits_by: bool = False
    compiled_as: str | None = None

    @property
    def sql(self) -> str:
        """The name of its SQL for Ibis and sqlglot."""
        return self.compiled_as or self.name

    def statement(self, expression: Any) -> str:
        """Return the SQL of an expression; values are quoted by the compiler, none is put into a text by hand."""
        compiled = sqlglot.parse_one(str(ibis.to_sql(expression, dialect=self.sql)), dialect=self.sql)
        return str(compiled.transform(self._completed).sql(dialect=self.sql, pretty=True))

    def _completed(self, node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Table) and node.name == EVENT_ROWS:
            return sqlglot.parse_one(statement(self.name, "events"), dialect=self.sql).subquery(node.alias)
        if self.limits_by and isinstance(node, exp.Select) and node.args.get("distinct"):
            node.set("distinct", None)
            columns = [exp.column(each.alias_or_name, quoted=True) for each in node.selects]
            node.set("limit", exp.Limit(expression=exp.Literal.number(1), expressions=columns))
        name = node.args.get("this") if isinstance(node, exp.Func) else None
        if isinstance(name, str) and name in self.exact:
            node.set("this", self.exact[name])
        if isinstance(name, str) and name.lower().startswith(PROPERTY_FUNCTIONS):
            return self._property(name.lower(), node.expressions)
        return node

    def _property(self, function: str, called_with: list[exp.Expression]) -> exp.Expression:
        """Return the engine's own SQL of a function of `properties`."""
        if self.properties is None:
            raise ConfigurationError.of(
                "warehouse", f"conditions on traits and metadata, and dimensions, are not computed on {self.name} yet."
            )
        column, path = called_with
        names = [exp.Literal.string(name).sql(dialect=self.sql) for name in json.loads(path.this)]
        found = self.properties.of(function, column.sql(dialect=self.sql), names)
        return sqlglot.parse_one(f"({found})", dialect=self.sql)


@dataclass(frozen=True, slots=True)
class Engine:
    """A connection to an engine.

    Attributes:
        dialect: its SQL.
        run: runs one statement that reads.
        plan: returns how the engine would run one, as text.
        close: ends the connection.
        estimate: returns the bytes that a statement would read, by the engine itself; None where it does not say.
        is_open: whether the connection can still be used.
    """

    dialect: Dialect
    run: Callable[[str], Answer]
    plan: Callable[[str], str]
    close: Callable[[], None]
    estimate: Callable[[str], int | None] = lambda _: None
    is_open: Callable[[], bool] = lambda: True
