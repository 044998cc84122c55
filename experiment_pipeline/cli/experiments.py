"""`experiment-pipeline experiments`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.table import Table

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context, confirm
from experiment_pipeline.cli.discover import discover_experiments
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.audience_forms import audience_json
from experiment_pipeline.domain.design_warnings import design_warnings
from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus
from experiment_pipeline.domain.lifecycle import check_deletable
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.domain.texts import printable, shortened

IGNORED_SHOWN = 60  # characters of a variant that a sender may have made up


@click.group()
def experiments() -> None:
    """List, show, discover, start, pause, complete and delete experiments. New ones are declared with `apply`.

    \b
    Examples:
      experiment-pipeline experiments list --status running
      experiment-pipeline experiments pause checkout
    """


experiments.add_command(discover_experiments)


@experiments.command("list")
@options.any_environment
@click.option("--status", "statuses", multiple=True, type=click.Choice([str(status) for status in ExperimentStatus]))
@click.option("--search", default="", help="A part of the name or the feature.")
@options.as_json
@click.pass_obj
def list_experiments(
    context: Context, environment: str | None, statuses: tuple[str, ...], search: str, as_json: bool
) -> None:
    """List experiments, newest first."""
    with context.registry() as registry:
        found = registry.experiments.list(
            environment and context.environment(registry, environment),
            statuses=[ExperimentStatus(status) for status in statuses],
            search=search,
        )
    if as_json:
        click.echo(json.dumps([_as_json(context, each) for each in found], indent=2))
        return
    columns = ("key", "environment", "name", "feature", "status", "started", "ended")
    table = listing(*columns)
    for each in found:
        moments = (_date(each.started_at), _date(each.ended_at))
        add_row(table, each.key, each.environment_key, each.name, each.feature, each.status, *moments)
    context.wide_console.print(table)


@experiments.command("show")
@click.argument("key")
@options.environment
@options.as_json
@click.pass_obj
def show_experiment(context: Context, key: str, environment: str | None, as_json: bool) -> None:
    """Show the experiment KEY."""
    with context.registry() as registry:
        found = context.find(registry, key, environment)
    if as_json:
        click.echo(json.dumps(_as_json(context, found), indent=2))
        return
    context.console.print(_card(context, found))


@experiments.command("start")
@click.argument("key")
@options.environment
@options.as_json
@click.pass_obj
def start_experiment(context: Context, key: str, environment: str | None, as_json: bool) -> None:
    """Start or resume the experiment KEY; its design freezes at the first start."""
    _transition(context, key, environment, ExperimentStatus.RUNNING, as_json=as_json)


@experiments.command("pause")
@click.argument("key")
@options.environment
@options.as_json
@click.pass_obj
def pause_experiment(context: Context, key: str, environment: str | None, as_json: bool) -> None:
    """Pause the experiment KEY: nothing refreshes it by itself; its window runs on."""
    _transition(context, key, environment, ExperimentStatus.PAUSED, as_json=as_json)


@experiments.command("complete")
@click.argument("key")
@options.environment
@options.as_json
@click.pass_obj
def complete_experiment(context: Context, key: str, environment: str | None, as_json: bool) -> None:
    """Complete the experiment KEY for good, and ask for a last refresh."""
    _transition(context, key, environment, ExperimentStatus.COMPLETED, as_json=as_json)


def _transition(context: Context, key: str, environment: str | None, to: ExperimentStatus, *, as_json: bool) -> None:
    with context.registry() as registry:
        found = context.find(registry, key, environment)
        moved = registry.experiments.transition(found.id, to, actor=context.actor, now=context.now)
    answer(f"{moved.key} is {moved.status}.", _as_json(context, moved), as_json=as_json)


@experiments.command("delete")
@click.argument("key")
@options.environment
@options.yes
@options.as_json
@click.pass_obj
def delete_experiment(context: Context, key: str, environment: str | None, *, yes: bool, as_json: bool) -> None:
    """Delete the experiment KEY; refused while it runs. It asks first; without a terminal it needs --yes.

    Over HTTP its key is never used again. `apply` may declare it again if no published results counted anybody.
    """
    with context.registry() as registry:
        found = context.find(registry, key, environment)
        check_deletable(found)
        confirm(f"Delete experiment {printable(found.name)} ({found.key}, {found.status})?", yes=yes)
        registry.experiments.delete(found.id, actor=context.actor, now=context.now)
    answer(f"Deleted {found.key}.", {"deleted": found.key}, as_json=as_json)


def _as_json(context: Context, experiment: Experiment) -> dict[str, Any]:
    from experiment_pipeline.schemas.responses import ExperimentView

    view = ExperimentView.of(experiment, context.floors)
    return {"environment": experiment.environment_key, **view.model_dump(mode="json")}


def _card(context: Context, experiment: Experiment) -> Table:
    """Return one experiment as a table of labels and values."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, value in (
        ("key", experiment.key),
        ("id", experiment.id),
        ("name", experiment.name),
        ("hypothesis", experiment.hypothesis),
        ("feature", experiment.feature),
        ("status", experiment.status),
        ("started", _date(experiment.started_at)),
        ("ended", _date(experiment.ended_at)),
        *(
            ("variant", f"{v.key or 'without a key'}: {v.percentage_allocation:g} %, {v.role}")
            for v in experiment.variants
        ),
        *(("ignored", printable(shortened(variant, IGNORED_SHOWN))) for variant in experiment.ignored_variants),
        *_audience_lines(experiment),
        *_design_lines(experiment.design),
        *_prior_lines(experiment),
        *(("metric", f"{a.metric.name}: {a.expected_direction}{_details(a)}") for a in experiment.metrics),
        *(("warning", warning) for warning in design_warnings(experiment, context.floors)),
        ("partition", experiment.partition_key),
    ):
        add_row(table, label, str(value))
    return table


def _audience_lines(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Yield what is declared of the identities that are analysed, as a manifest has it."""
    declared = {**audience_json(experiment.audience), "post_stratify": experiment.post_stratify}
    excluded = declared.pop("exclude_identifiers")
    yield from ((name, json.dumps(value, ensure_ascii=False)) for name, value in declared.items() if value)
    if excluded:
        yield "excluded", f"{len(excluded)} identifiers"


def _design_lines(design: Design) -> Iterator[tuple[str, str]]:
    """Yield what the design has, by the names of a manifest."""
    declared = {name: value for name, value in asdict(design).items() if value is not None}
    yield "design", ", ".join(f"{name} {value:g}" for name, value in declared.items())


def _prior_lines(experiment: Experiment) -> Iterator[tuple[str, str]]:
    if experiment.prior is not None:
        mean, deviation = 100 * experiment.prior.mean, 100 * experiment.prior.standard_deviation
        yield "prior", f"lift {mean:+g} %, standard deviation {deviation:g} %"


def _details(attached: AttachedMetric) -> str:
    margin = "" if attached.margin is None else f", margin {100 * attached.margin:g} %"
    return f"{margin}, added after the start" if attached.added_after_start else margin


def _date(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
