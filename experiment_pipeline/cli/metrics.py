"""`experiment-pipeline metrics`."""

import json

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import add_row, listing


@click.group()
def metrics() -> None:
    """List and delete metrics. New ones are declared with `apply`."""


@metrics.command("list")
@options.any_environment
@options.as_json
@click.pass_obj
def list_metrics(context: Context, environment: str | None, as_json: bool) -> None:
    """List metrics, newest first."""
    with context.registry() as registry:
        found = registry.metrics.list(environment and context.environment(registry, environment))
    if as_json:
        from experiment_pipeline.schemas.responses import MetricView

        shown = [{"environment": each.environment_key, **MetricView.of(each).model_dump(mode="json")} for each in found]
        click.echo(json.dumps(shown, indent=2))
        return
    columns = ("id", "environment", "name", "aggregation", "event", "direction")
    table = listing(*columns)
    for each in found:
        add_row(table, str(each.id), each.environment_key, each.name, each.aggregation, each.event, each.direction)
    context.wide_console.print(table)


@metrics.command("delete")
@click.argument("name")
@options.environment
@click.pass_obj
def delete_metric(context: Context, name: str, environment: str | None) -> None:
    """Delete the metric NAME; refused while an active experiment uses it."""
    with context.registry() as registry:
        key = context.environment(registry, environment)
        registry.metrics.delete(key, name, actor=context.actor, now=context.now)
    click.echo(f"Deleted metric {name}.")
