"""`experiment-pipeline environments`."""

import json

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.environments import Environment
from experiment_pipeline.times import format_duration


@click.group()
def environments() -> None:
    """List and create environments."""


@environments.command("list")
@options.as_json
@click.pass_obj
def list_environments(context: Context, as_json: bool) -> None:
    """List every environment."""
    with context.registry() as registry:
        known = registry.environments.list()
    if as_json:
        shown = [{"key": each.key, "name": each.name, "keep": _keep(each)} for each in known]
        click.echo(json.dumps(shown, indent=2))
        return
    table = listing("key", "name", "keeps events")
    for each in known:
        add_row(table, each.key, each.name, _keep(each) or "forever")
    context.wide_console.print(table)


def _keep(environment: Environment) -> str | None:
    return None if environment.keep is None else format_duration(environment.keep)


@environments.command("create")
@click.argument("key")
@click.option("--name", help="Shown to people; the key when left out.")
@options.as_json
@click.pass_obj
def create_environment(context: Context, key: str, name: str | None, as_json: bool) -> None:
    """Create the environment KEY.

    \b
    Example:
      experiment-pipeline environments create production --name Production
    """
    with context.registry(create=True) as registry:
        created = registry.environments.create(key, name or key, actor=context.actor, now=context.now)
    answer(f"Created environment {key}.", {"key": created.key, "name": created.name}, as_json=as_json)
