"""`experiment-pipeline experiments`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
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
from experiment_pipeline.domain.drafts import VariantDraft, to_variant_draft
from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus, Variant, VariantRole
from experiment_pipeline.domain.lifecycle import check_deletable, restart
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.domain.phases import EndedPhase
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.times import iso_utc

IGNORED_SHOWN = 60  # characters of a variant that a sender may have made up


@click.group()
def experiments() -> None:
    """List, show, discover, start, pause, restart, complete and delete experiments. New ones are declared with `apply`.

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
    columns = ("key", "environment", "name", "feature", "status", "phase", "started", "ended")
    table = listing(*columns)
    for each in found:
        moments = (_date(each.started_at), _date(each.ended_at))
        add_row(table, each.key, each.environment_key, each.name, each.feature, each.status, str(each.phase), *moments)
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
    told = f"{moved.key} is {moved.status}."
    if moved.ended_at is not None and moved.started_at is not None:
        told += f"\n{_last_results(context, moved, environment)}"
    answer(told, _as_json(context, moved), as_json=as_json)


@experiments.command("restart")
@click.argument("key")
@options.environment
@click.option(
    "--allocation",
    "allocations",
    multiple=True,
    metavar="VARIANT=PERCENT",
    help="A treatment's or holdout's share of the next phase; those left out keep theirs.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be so, and change nothing.")
@options.yes
@options.as_json
@click.pass_obj
def restart_experiment(
    context: Context,
    key: str,
    environment: str | None,
    *,
    allocations: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """End the present phase of the experiment KEY and begin the next, which counts nothing of it.

    Variants and metrics stay; allocations may change. The ended phase gets a last refresh. It asks first; without a
    terminal it needs --yes.

    \b
    Examples:
      experiment-pipeline experiments restart checkout --dry-run
      experiment-pipeline experiments restart checkout --allocation treatment=20 --yes
    """
    with context.registry() as registry:
        found = context.find(registry, key, environment)
        variants = _reallocated(found, allocations) if allocations else None
        moved = restart(found, variants, context.now)
        if not dry_run:
            began = "not yet" if found.started_at is None else iso_utc(found.started_at)
            question = f"End phase {found.phase} of {found.key}, which began at {began}, and begin the next one?"
            confirm(question, yes=yes, otherwise="Nothing was changed.")
            moved = registry.experiments.restart(
                found.id, variants, actor=context.actor, now=context.now, ends=found.phase
            )
    if dry_run:
        shares = _shares((arm, arm.percentage_allocation) for arm in moved.variants)
        told = f"Phase {found.phase} of {found.key} would end, and phase {moved.phase} begin, with {shares}."
        answer(f"{told} Nothing was changed: this was a dry run.", _as_json(context, moved), as_json=as_json)
        return
    told = f"{moved.key} is in phase {moved.phase}, and running. Phase {found.phase} has ended."
    ended = moved.in_phase(found.phase)
    answer(f"{told}\n{_last_results(context, ended, environment)}", _as_json(context, moved), as_json=as_json)


def _last_results(context: Context, ended: Experiment, environment: str | None) -> str:
    """Return a sentence on when the results of an ended phase are final, and what computes them."""
    assert ended.ended_at is not None  # noqa: S101 - it has ended
    final_from = iso_utc(ended.ended_at + context.settings.finality_grace)
    options = "" if environment is None else f" -e {environment}"
    options += "" if ended.is_in_newest_phase else f" --phase {ended.phase}"
    command = f"experiment-pipeline refresh {ended.key}{options}"
    return f"Its last results are final from {final_from} on: a running daemon computes them, or {command}"


def _reallocated(experiment: Experiment, allocations: tuple[str, ...]) -> tuple[VariantDraft, ...]:
    """Return the experiment's variants with these shares; control takes what the others leave.

    Raises:
        ConfigurationError: a share is no number, or names none of the variants that may be given one.
    """
    arms = [to_variant_draft(arm) for arm in experiment.variants if arm.role is not VariantRole.CONTROL]
    wanted: dict[str, float] = {}
    for allocation in allocations:
        name, _, percent = allocation.rpartition("=")
        if name not in {arm.key for arm in arms}:
            named = ", ".join(printable(arm.key) for arm in arms if arm.key is not None)
            raise ConfigurationError.of(
                "--allocation", f"Give VARIANT=PERCENT of {named}, got '{printable(allocation)}'."
            )
        try:
            wanted[name] = float(percent)
        except ValueError:
            raise ConfigurationError.of("--allocation", f"Must be a number, got '{printable(percent)}'.") from None
    return tuple(
        replace(arm, percentage_allocation=wanted.get(arm.key or "", arm.percentage_allocation)) for arm in arms
    )


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
        ("phase", experiment.phase),
        ("started", _date(experiment.started_at)),
        ("ended", _date(experiment.ended_at)),
        *(
            ("variant", f"{v.key or 'without a key'}: {v.percentage_allocation:g} %, {v.role}")
            for v in experiment.variants
        ),
        *(("ended phase", _phase_words(phase, experiment)) for phase in experiment.ended_phases),
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


def _phase_words(phase: EndedPhase, experiment: Experiment) -> str:
    shares = _shares(zip(experiment.variants, phase.percentage_allocations, strict=True))
    return f"{phase.number}, {_date(phase.started_at)} to {_date(phase.ended_at)}: {shares}"


def _shares(arms: Iterable[tuple[Variant, float | None]]) -> str:
    return ", ".join(f"{arm.key or 'without a key'} {share:g} %" for arm, share in arms if share is not None)


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
