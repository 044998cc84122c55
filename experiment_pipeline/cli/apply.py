"""`experiment-pipeline apply`."""

import json
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import plain
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.manifests import Difference
from experiment_pipeline.schemas.manifests import parse_manifest


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
@click.pass_obj
def apply(context: Context, file: Path, dry_run: bool, as_json: bool) -> None:
    """Declare environments, metrics and experiments from a YAML FILE.

    Declaring the same again changes nothing. A file that breaks a rule changes nothing either.

    \b
    Example:
      environments: {production: {}}
      metrics:
        purchase: {aggregation: occurrence, definition: {version: 1, event: purchase}}
      experiments:
        checkout:
          hypothesis: A larger button sells more.
          feature: checkout_button
          variants: [{key: larger, percentage_allocation: 50}]
          metrics: [{metric: purchase, expected_direction: increase}]
          status: running
    """
    try:
        manifest = parse_manifest(file.read_text("utf-8"))
    except UnicodeDecodeError:
        raise ConfigurationError.of(str(file), "Must be UTF-8 text.") from None
    with context.registry(create=True, dry_run=dry_run) as registry:
        differences = registry.manifests.apply(manifest, actor=context.actor, now=context.now, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps([_as_json(difference) for difference in differences], indent=2))
        return
    for difference in differences:
        context.console.print(_line(difference), soft_wrap=True, highlight=False)
    ending = " Nothing was changed: this was a dry run." if dry_run and differences else ""
    context.console.print(f"{_summary(differences)}.{ending}", highlight=False)


def _as_json(difference: Difference) -> dict[str, Any]:
    fields = {name: {"before": before, "after": after} for name, (before, after) in difference.fields.items()}
    return {"action": difference.action, "subject": difference.subject, "fields": fields}


def _line(difference: Difference) -> Text:
    if difference.action == "create":
        return plain(f"+ {difference.subject}", style="green")
    line = plain(f"~ {difference.subject}", style="yellow")
    for name, (before, after) in difference.fields.items():
        change = (json.dumps(before), "red"), " -> ", (json.dumps(after), "green")
        line.append_text(Text.assemble(f"\n    {name}: ", *change))
    return line


def _summary(differences: list[Difference]) -> str:
    created = sum(difference.action == "create" for difference in differences)
    return f"{created} created, {len(differences) - created} changed" if differences else "Everything is as declared"
