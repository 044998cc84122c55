"""`experiment-pipeline environments`."""

import json

import click
from rich.table import Table

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context


@click.group()
def environments() -> None:
    """List and create environments."""


@environments.command("list")
@options.as_json
@click.pass_obj
def list_environments(context: Context, as_json: bool) -> None:
    """List every environment."""
    with context.registry() as registry:
        known = registry.environments()
    if as_json:
        click.echo(json.dumps([{"key": each.key, "name": each.name} for each in known], indent=2))
        return
    table = Table("key", "name", box=None, pad_edge=False, header_style="dim")
    for each in known:
        table.add_row(each.key, each.name)
    context.wide_console.print(table)


@environments.command("create")
@click.argument("key")
@click.option("--name", help="Shown to people; the key when left out.")
@click.pass_obj
def create_environment(context: Context, key: str, name: str | None) -> None:
    """Create the environment KEY.

    \b
    Example:
      experiment-pipeline environments create production --name Production
    """
    with context.registry(create=True) as registry:
        registry.create_environment(key, name or key, actor=context.actor, now=context.now)
    click.echo(f"Created environment {key}.")
