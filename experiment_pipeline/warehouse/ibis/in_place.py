"""Analysis where events lie: only counts and moments leave the warehouse, and nothing is written there (rule N3)."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.events import EPOCH
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.warehouse.base import Frame, RowCounts
from experiment_pipeline.warehouse.costs import Cost
from experiment_pipeline.warehouse.frame_schemas import frame_of
from experiment_pipeline.warehouse.ibis import first_exposures
from experiment_pipeline.warehouse.ibis.aggregation import Aggregation
from experiment_pipeline.warehouse.ibis.capabilities import require_computable
from experiment_pipeline.warehouse.ibis.clickhouse import open_clickhouse
from experiment_pipeline.warehouse.ibis.engine import Dialect, Engine, Rows
from experiment_pipeline.warehouse.ibis.events import event_rows
from experiment_pipeline.warehouse.ibis.exposure_tables import ExposureTables
from experiment_pipeline.warehouse.ibis.postgres import open_postgres
from experiment_pipeline.warehouse.ibis.row_counts import counted_rows, row_counts
from experiment_pipeline.warehouse.ibis.spark import open_spark
from experiment_pipeline.warehouse.ibis.uniqueness import require_unique, sampled_rows
from experiment_pipeline.warehouse.limits import DEFAULT_LIMITS, WarehouseLimits

MICROSECOND = timedelta(microseconds=1)
OPEN: dict[str, Callable[[ConnectionUrl, WarehouseLimits], Engine]] = {
    "clickhouse": open_clickhouse,
    "chdb": open_clickhouse,
    "postgresql": open_postgres,
    "spark+local": open_spark,
}


def open_engine(url: ConnectionUrl, limits: WarehouseLimits) -> Engine:
    """Connect to the engine that a URL names.

    Raises:
        ConfigurationError: no engine has its scheme, or the server refuses the account.
        SourceUnreachable: the server does not answer.
    """
    if url.scheme not in OPEN:
        raise url.refused(f"Its URL must begin with one of {', '.join(f'{each}://' for each in OPEN)}.")
    return OPEN[url.scheme](url, limits)


@dataclass(frozen=True, slots=True)
class InPlaceAnalysis:
    """The analysis of experiments over the table of events of one engine; rows of identities never leave it.

    Attributes:
        engine: the connection.
        limits: of its statements.
        costs: of the statements that ran so far.
    """

    engine: Engine
    limits: WarehouseLimits = DEFAULT_LIMITS
    costs: list[Cost] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        """The cost of all statements that ran so far."""
        return Cost.total(self.costs)

    def newest_version(self, environment_key: str, now: datetime) -> int:
        """Return the data version: the newest load time that is settled, in microseconds since 1970; 0 without (N4).

        Args:
            environment_key: of the events.
            now: UTC.
        """
        rows, settled = event_rows(), (now.astimezone(UTC) - self.limits.settle - EPOCH) // MICROSECOND
        of_environment = rows.filter(rows.environment_key == environment_key, rows.loaded_us <= settled)
        (found,) = self._rows(of_environment.agg(newest=of_environment.loaded_us.max()))
        return int(found["newest"] or 0)

    def first_exposures(self, scope: AnalysisScope) -> tuple[int, int]:
        """Return how many identities were first exposed, and how many of them are quarantined."""
        require_computable(scope, ())
        (found,) = self._rows(first_exposures.counted_quarantine(scope), scope)
        return int(found["n"]), int(found["n_quarantined"] or 0)

    def exposures_statement(self, scope: AnalysisScope) -> str:
        """Return the statement of first exposures, which may read as much as is allowed.

        Raises:
            ConfigurationError: it would read more (rule N5), or the audience is not computed in place.
        """
        require_computable(scope, ())
        sql = self.engine.dialect.statement(first_exposures.computed_exposures(scope))
        self._require_few_bytes(sql)
        return sql

    def tables(self, scope: AnalysisScope) -> ExposureTables:
        """Return the tables of first exposures, for statements of a scope."""
        return ExposureTables(self.engine.dialect.name, lambda sql: self._run(sql, scope, is_estimated=False))

    def row_counts(self, scope: AnalysisScope, events: Collection[str]) -> RowCounts:
        """Count the rows that the scope reads, and those of them that it leaves out, by reason (rule N10)."""
        return row_counts(self._rows(counted_rows(scope, events), scope))

    def exposure_buckets(self, scope: AnalysisScope) -> Frame:
        """Count new identities by bucket and variant (rule X4); see `Warehouse.exposure_buckets`."""
        require_computable(scope, ())
        expression = first_exposures.counted_buckets(scope)
        rows = [
            {
                "bucket": EPOCH + timedelta(milliseconds=int(row["bucket_ms"])),
                "variant": row["variant"],
                "quarantined": bool(row["quarantined"]),
                "new_identities": int(row["n"]),
            }
            for row in self._rows(expression, scope)
        ]
        frame = frame_of("exposure_buckets", rows).sort("bucket", "variant", "quarantined")
        return Frame(frame, self.engine.dialect.statement(expression))

    def variant_identities(self, scope: AnalysisScope, *, before_entry: bool = False) -> dict[str, int]:  # noqa: ARG002
        """Return the number of analysed identities of every variant seen, in the order of their keys (rule S1)."""
        require_computable(scope, ())
        rows = self._rows(first_exposures.counted_identities(scope), scope)
        return dict(sorted((row["variant"], int(row["n"])) for row in rows))

    def variant_aggregates(self, scope: AnalysisScope, metrics: tuple[Metric, ...]) -> Frame:
        """Aggregate metrics over the analysed identities of each variant; see `Warehouse.variant_aggregates`."""
        require_computable(scope, metrics)
        statements: dict[str, str] = {}

        def ask(name: str, expression: Any) -> Rows:
            statements[name] = self.engine.dialect.statement(expression)
            return self._run(statements[name], scope)

        if metrics and self.limits.unique_rows:
            require_unique(ask("check of uniqueness", sampled_rows(scope, metrics))[0])
        rows = Aggregation(ask, scope, metrics, unique_rows=self.limits.unique_rows).rows()
        return Frame(frame_of("variant_aggregates", rows), ";\n".join(statements.values()))

    def _rows(self, expression: Any, scope: AnalysisScope | None = None) -> Rows:
        return self._run(self.engine.dialect.statement(expression), scope)

    def _run(self, sql: str, scope: AnalysisScope | None, *, is_estimated: bool = True) -> Rows:
        """Run a statement that the server's log shows with the partition of the experiment that it is for (rule N5)."""
        tagged = f"/* experiment-pipeline{f' {scope.partition_key}' if scope else ''} */ {sql}"
        if is_estimated:
            self._require_few_bytes(sql)
        started = time.monotonic()
        answer = self.engine.run(tagged)
        ids = () if answer.query_id is None else (answer.query_id,)
        self.costs.append(Cost(1, time.monotonic() - started, answer.read_rows, answer.read_bytes, ids))
        return answer.rows

    def _require_few_bytes(self, sql: str) -> None:
        """Refuse a statement that would read too much, before it runs (rule N5).

        Raises:
            ConfigurationError: it would, by the engine's estimate.
        """
        limit = self.limits.bytes_read
        estimate = None if limit is None else self.engine.estimate(sql)
        if limit is None or estimate is None or estimate <= limit:
            return
        message = (
            f"The statement would read about {estimate:,} bytes, and {limit:,} are allowed. Raise "
            "EXPERIMENT_PIPELINE_WAREHOUSE_BYTE_LIMIT, or sort and partition the table as `warehouse init` has it."
        )
        raise ConfigurationError.of("warehouse", message)


def aggregate_statements(
    dialect: Dialect, scope: AnalysisScope, metrics: tuple[Metric, ...], *, unique_rows: bool = False
) -> dict[str, str]:
    """Return the statements that aggregate metrics, by what they are for; none without metrics.

    Raises:
        ConfigurationError: something is not computed in place.
    """
    require_computable(scope, metrics)
    statements: dict[str, str] = {}

    def ask(name: str, expression: Any) -> Rows:
        statements[name] = dialect.statement(expression)
        return []

    Aggregation(ask, scope, metrics, unique_rows=unique_rows).rows()
    return statements
