"""`experiment-pipeline metrics`."""

import json
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context, confirm
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import Conflict

if TYPE_CHECKING:
    from experiment_pipeline.registry.registry import Registry


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
        read = (each.aggregation or "", ", ".join(each.event_names))
        add_row(table, str(each.id), each.environment_key, each.name, *read, each.direction)
    context.wide_console.print(table)


@metrics.command("delete")
@click.argument("name")
@options.environment
@options.yes
@options.as_json
@click.pass_obj
def delete_metric(context: Context, name: str, environment: str | None, *, yes: bool, as_json: bool) -> None:
    """Delete the metric NAME; refused while an active experiment uses it. It asks first, or needs --yes."""
    with context.registry() as registry:
        key = context.environment(registry, environment)
        found = registry.metrics.find(key, name)
        _require_unused(registry, found)
        confirm(f"Delete metric {printable(found.name)} of {key}?", yes=yes)
        registry.metrics.delete(key, name, actor=context.actor, now=context.now)
    answer(f"Deleted metric {printable(found.name)}.", {"deleted": found.name}, as_json=as_json)


def _require_unused(registry: "Registry", metric: Metric) -> None:
    """Refuse a metric of an active experiment (rule L4) before anybody is asked, and name the experiments."""
    users = [
        experiment.key
        for experiment in registry.experiments.list(metric.environment_key)
        if any(attached.metric.id == metric.id for attached in experiment.metrics)
        and experiment.status is not ExperimentStatus.COMPLETED
    ]
    if users:
        refused = "Cannot delete a metric attached to an active experiment. Detach it or complete the experiment first."
        raise Conflict(f"{refused} It is attached to {', '.join(users)}.")
