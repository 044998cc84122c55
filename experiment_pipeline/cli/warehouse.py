"""`experiment-pipeline warehouse`: analysis where events lie, in ClickHouse, PostgreSQL or Spark."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.times import iso_utc, to_milliseconds
from experiment_pipeline.warehouse.extra import require_ibis
from experiment_pipeline.warehouse.ibis.statements import ENGINES, statement
from experiment_pipeline.warehouse.limits import WarehouseLimits

if TYPE_CHECKING:
    from experiment_pipeline.warehouse.ibis.in_place import InPlaceAnalysis

TIMEOUT = timedelta(minutes=10)
connected = click.option(
    "--url-env",
    default="EXPERIMENT_PIPELINE_EVENTS_URL",
    show_default=True,
    metavar="VARIABLE",
    help="Environment variable with the URL of an engine (docs/engines.md): the secret stays in the environment.",
)
limited = click.option(
    "--timeout", type=options.DURATION, default=TIMEOUT, show_default="PT10M", metavar="PT10M", help="Of one statement."
)

unique = click.option(
    "--unique-rows",
    is_flag=True,
    help="Each event has one row in the table: duplicates are not removed, but looked for.",
)


@click.group()
def warehouse() -> None:
    """Compute results where events lie: nothing is copied, only counts and moments leave the warehouse."""


@warehouse.command("init")
@click.argument("engine", type=click.Choice(ENGINES))
@click.option("--grants", is_flag=True, help="Print the least rights of the account instead.")
def init(engine: str, *, grants: bool) -> None:
    """Print the SQL that creates the table of events in ENGINE; nothing is run.

    \b
    Examples:
      experiment-pipeline warehouse init clickhouse
      experiment-pipeline warehouse init postgres | psql "$SHOP_DATABASE_URL"
      experiment-pipeline warehouse init postgres --grants
    """
    click.echo(statement(engine, "grants" if grants else "table").rstrip())


@warehouse.command("results")
@click.argument("key")
@options.environment
@connected
@limited
@unique
@click.pass_obj
def results(
    context: Context, key: str, environment: str | None, *, url_env: str, timeout: timedelta, unique_rows: bool
) -> None:
    """Compute the experiment KEY where its events lie, and print both payloads as JSON; nothing is published.

    What is not computed in a warehouse is refused, with the reason: docs/engines.md lists it.

    \b
    Examples:
      EXPERIMENT_PIPELINE_EVENTS_URL=clickhouse://reader:...@host/shop experiment-pipeline warehouse results checkout
      experiment-pipeline warehouse results checkout --url-env SHOP_DATABASE_URL --timeout PT1M
    """
    with context.registry() as registry:
        experiment = context.find(registry, key, environment)
        looks = registry.planned_looks.list(experiment.id, experiment.phase) if experiment.has_planned_looks else ()
    with _analysis(url_env, WarehouseLimits(timeout, unique_rows=unique_rows)) as in_place:
        click.echo(json.dumps(_computed(context, experiment, in_place, looks), indent=2))


@warehouse.command("explain")
@click.argument("key")
@options.environment
@click.option(
    "--engine", type=click.Choice(ENGINES), help="Print the SQL for this engine, without a connection and a plan."
)
@connected
@limited
@unique
@click.pass_obj
def explain(
    context: Context,
    key: str,
    environment: str | None,
    *,
    engine: str | None,
    url_env: str,
    timeout: timedelta,
    unique_rows: bool,
) -> None:
    """Print the statements that compute the experiment KEY in place, each with the engine's plan.

    \b
    Examples:
      experiment-pipeline warehouse explain checkout --url-env SHOP_DATABASE_URL
      experiment-pipeline warehouse explain checkout --engine clickhouse
    """
    with context.registry() as registry:
        experiment = context.find(registry, key, environment)
    require_ibis()
    from experiment_pipeline.warehouse.ibis.dialects import dialect_of
    from experiment_pipeline.warehouse.ibis.in_place import aggregate_statements

    metrics = tuple(each.metric for each in experiment.metrics)
    if engine is not None:
        statements = aggregate_statements(
            dialect_of(engine), _scope(context, experiment, 0), metrics, unique_rows=unique_rows
        )
        click.echo("\n\n".join(f"-- {name}\n{sql};" for name, sql in statements.items()))
        return
    with _analysis(url_env, WarehouseLimits(timeout, unique_rows=unique_rows)) as in_place:
        version = in_place.newest_version(experiment.environment_key, context.now)
        statements = aggregate_statements(
            in_place.engine.dialect, _scope(context, experiment, version), metrics, unique_rows=unique_rows
        )
        for name, sql in statements.items():
            plan = in_place.engine.plan(sql).replace("\n", "\n-- ")
            click.echo(f"-- {name}\n{sql};\n\n-- plan of {name}\n-- {plan}\n")


def _computed(
    context: Context, experiment: Experiment, in_place: "InPlaceAnalysis", looks: Sequence[PlannedLookOf]
) -> dict[str, object]:
    """Return what `warehouse results` prints: the window, the data version, what was read, and both payloads."""
    from experiment_pipeline.domain.exposures import summarise_exposures
    from experiment_pipeline.results.compute import compute_results
    from experiment_pipeline.results.payload import exposures_payload, results_payload
    from experiment_pipeline.warehouse.frame_schemas import listed_exposures, metric_aggregates, validated

    scope = _scope(context, experiment, in_place.newest_version(experiment.environment_key, context.now))
    frame = in_place.variant_aggregates(scope, tuple(each.metric for each in experiment.metrics))
    aggregates = metric_aggregates(validated("variant_aggregates", frame.rows))
    buckets = validated("exposure_buckets", in_place.exposure_buckets(scope).rows)
    listed, unlisted = listed_exposures(buckets, experiment.variant_keys)
    identities = in_place.variant_identities(scope)
    found = compute_results(
        experiment, identities, aggregates, context.floors, as_of=scope.window.as_of, planned_looks=looks
    )
    cost = in_place.cost
    return {
        "key": experiment.key,
        "engine": in_place.engine.dialect.name,
        "started_at": iso_utc(scope.window.started_at),
        "as_of": iso_utc(scope.window.as_of),
        "data_version": scope.data_version,
        "cost": cost.to_json(),
        "exposures": exposures_payload(
            summarise_exposures(listed, scope.window.granularity, unlisted), experiment.phase
        ),
        "results": results_payload(found),
    }


def _scope(context: Context, experiment: Experiment, data_version: int) -> AnalysisScope:
    as_of = to_milliseconds(min(context.now, experiment.ended_at or context.now))
    run = RefreshRun("in place", experiment.id, as_of=as_of, data_version=data_version, phase=experiment.phase)
    return AnalysisScope.of(experiment, run)


@contextmanager
def _analysis(url_env: str, limits: WarehouseLimits) -> Iterator["InPlaceAnalysis"]:
    require_ibis()
    from experiment_pipeline.warehouse.ibis.in_place import InPlaceAnalysis, open_engine

    text = os.environ.get(url_env)
    if not text:
        raise ConfigurationError.of("--url-env", f"the environment variable {url_env} is not set.")
    engine = open_engine(ConnectionUrl(text, url_env), limits)
    try:
        yield InPlaceAnalysis(engine, limits)
    finally:
        engine.close()
