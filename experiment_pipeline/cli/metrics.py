"""`experiment-pipeline metrics`."""

import json
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context, confirm
from experiment_pipeline.cli.metric_preview import preview_metric
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.measures import Measure
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Quantile, Ratio, Retention
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError, Conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiment_pipeline.registry.registry import Registry

FROZEN = (
    "Cannot be upgraded: an experiment that uses it has started, so it stays what it is. Version 1 stays valid; "
    "declare another metric for the next experiment."
)


@click.group()
def metrics() -> None:
    """List, show, preview, upgrade and delete metrics. New ones are declared with `apply`."""


metrics.add_command(preview_metric)


@metrics.command("list")
@options.any_environment
@options.as_json
@click.pass_obj
def list_metrics(context: Context, environment: str | None, as_json: bool) -> None:
    """List metrics, newest first."""
    with context.registry() as registry:
        found = registry.metrics.list(environment and context.environment(registry, environment))
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=2))
        return
    columns = ("id", "environment", "name", "statistic", "event", "direction")
    table = listing(*columns)
    for each in found:
        measured = (_words(each), ", ".join(each.event_names))
        add_row(table, str(each.id), each.environment_key, each.name, *measured, each.direction)
    context.wide_console.print(table)


@metrics.command("show")
@click.argument("name")
@options.environment
@options.as_json
@click.pass_obj
def show_metric(context: Context, name: str, environment: str | None, as_json: bool) -> None:
    """Show the metric NAME with its definition, as a manifest has it."""
    with context.registry() as registry:
        found = registry.metrics.find(context.environment(registry, environment), name)
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
        return
    click.echo(_as_yaml([found]), nl=False)


@metrics.command("upgrade")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Every metric of the environment.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@options.environment
@options.as_json
@click.pass_obj
def upgrade_metrics(
    context: Context, name: str | None, environment: str | None, *, every: bool, dry_run: bool, as_json: bool
) -> None:
    """Declare the metric NAME of version 1 as what measures the same in version 2.

    It prints the entries that a manifest needs from now on: applying the old ones again would bring version 1 back.
    The metric of an experiment that has started stays as it is; version 1 stays valid.

    \b
    Examples:
      experiment-pipeline metrics upgrade revenue --dry-run
      experiment-pipeline metrics upgrade --all > metrics.yaml
    """
    if every == (name is not None):
        raise click.UsageError("Name a metric, or give --all for every one of them.")
    with context.registry() as registry:
        key = context.environment(registry, environment)
        upgrade = registry.metrics.upgrade(key, name, actor=context.actor, now=context.now, dry_run=dry_run)
    if name is not None and upgrade.frozen:
        raise ConfigurationError.of(printable(name), FROZEN)
    if as_json:
        changed, frozen = map(_as_json, upgrade.upgraded), [each.name for each in upgrade.frozen]
        click.echo(json.dumps({"upgraded": list(changed), "frozen": frozen}, indent=2))
        return
    if upgrade.upgraded:
        click.echo(f"# {'Would be upgraded' if dry_run else 'Upgraded'}. Put this in place of the old entries.")
        click.echo(_as_yaml(upgrade.upgraded), nl=False)
    for each in upgrade.frozen:
        click.echo(f"{printable(each.name)}: {FROZEN}", err=True)
    if not upgrade.upgraded:
        click.echo("Nothing to upgrade.", err=True)


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


def _as_json(metric: Metric) -> dict[str, Any]:
    from experiment_pipeline.schemas.responses import MetricView

    return {"environment": metric.environment_key, **MetricView.of(metric).model_dump(mode="json")}


def _as_yaml(metrics_of_one_environment: "Sequence[Metric]") -> str:
    """Return metrics as the section of a manifest that declares them again."""
    import yaml

    from experiment_pipeline.schemas.manifests import metric_entry

    entries = {each.name: metric_entry(each) for each in metrics_of_one_environment}
    written: str = yaml.safe_dump({"metrics": entries}, sort_keys=False, allow_unicode=True, width=120)
    return written


def _words(metric: Metric) -> str:
    """Return what a metric estimates, in a few words."""
    match metric.statistic:
        case Mean(measure):
            return measure.aggregation.value
        case Ratio(numerator, denominator):
            return f"ratio of {numerator.aggregation} to {denominator.aggregation}"
        case Quantile(q, of):
            return f"{q:g} quantile of {of.aggregation if isinstance(of, Measure) else 'events'}"
        case Retention():
            return "retention"
        case Funnel(steps):
            return f"funnel of {len(steps)} steps"


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
