"""`experiment-pipeline apply`."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import plain
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.manifests import Difference
from experiment_pipeline.schemas.manifest_lines import naming_lines
from experiment_pipeline.schemas.manifests import parse_manifest

SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "keep": ("=", "dim")}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--only",
    multiple=True,
    metavar="ENTRY",
    help="Apply this entry alone, such as experiments.checkout, or metrics for all of them; may be repeated.",
)
@click.option("--resume", is_flag=True, help="Resume experiments that are paused and, by the file, running.")
@click.option("--strict", is_flag=True, help="Refuse a file that says of an experiment less than its status.")
@options.as_json
@click.pass_obj
def apply(
    context: Context, file: Path, *, dry_run: bool, only: tuple[str, ...], resume: bool, strict: bool, as_json: bool
) -> None:
    """Declare environments, sources, metrics and experiments from a YAML FILE; - reads standard input.

    Declaring the same again changes nothing. A file that breaks a rule changes nothing either. An experiment that is
    further than the file says, because somebody paused or completed it, stays as it is, and a line says so.

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
    text = read_file(file)
    with naming_lines(text):
        manifest = parse_manifest(text, folder=Path() if str(file) == "-" else file.parent, only=only)
        if not (dry_run or context.registry_exists):
            with context.registry(dry_run=True) as empty:  # a file that is refused creates no registry
                empty.manifests.apply(
                    manifest, actor=context.actor, now=context.now, resume=resume, strict=strict, floors=context.floors
                )
        with context.registry(create=True, dry_run=dry_run) as registry:
            differences = registry.manifests.apply(
                manifest,
                actor=context.actor,
                now=context.now,
                dry_run=dry_run,
                resume=resume,
                strict=strict,
                floors=context.floors,
            )
    if as_json:
        click.echo(json.dumps([_as_json(difference) for difference in differences], indent=2))
        return
    for difference in differences:
        context.console.print(_line(difference), soft_wrap=True, highlight=False)
    ending = " Nothing was changed: this was a dry run." if dry_run and differences else ""
    context.console.print(f"{_summary(differences)}.{ending}", highlight=False)


def read_file(file: Path) -> str:
    """Return the text of a file, or of standard input for `-`. Raises ConfigurationError where it is not UTF-8."""
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError.of(str(file), "Must be UTF-8 text.") from None


def _as_json(difference: Difference) -> dict[str, Any]:
    fields = {name: {"before": before, "after": after} for name, (before, after) in difference.fields.items()}
    return {
        "action": difference.action,
        "subject": difference.subject,
        "fields": fields,
        "notes": list(difference.notes),
    }


def _line(difference: Difference) -> Text:
    sign, style = SIGNS[difference.action]
    line = plain(f"{sign} {difference.subject}", style=style)
    changed = difference.fields if difference.action == "change" else {}
    for name, (before, after) in _members(changed):
        line.append_text(Text.assemble(f"\n    {name}: ", *_change(before, after)))
    for note in difference.notes:
        line.append("\n    ").append_text(plain(note, style="yellow"))
    return line


def _members(changed: Mapping[str, tuple[Any, Any]]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield what has changed; of an object, such as who is analysed, its members that have."""
    for name, (before, after) in changed.items():
        if isinstance(before, dict) and isinstance(after, dict):
            for member in dict.fromkeys((*before, *after)):
                if before.get(member) != after.get(member):
                    place = member if name == "audience" else f"{name}.{member}"  # as it stands in the file
                    yield place, (before.get(member), after.get(member))
        elif name == "as" and before and after and len(before) == len(after):
            for position, (one, other) in enumerate(zip(before, after, strict=True)):
                place = name if len(before) == 1 else f"{name}.{position}"
                yield from ((f"{place}.{member}", pair) for member, pair in _members({"audience": (one, other)}))
        else:
            yield name, (before, after)


def _change(before: object, after: object) -> Iterator[str | tuple[str, str]]:
    """Yield one value and the other; of two lists, what was taken out and what came in."""
    if isinstance(before, list) and isinstance(after, list):
        listed = [*((f"- {_item(each)}", "red") for each in before if each not in after)]
        listed += [(f"+ {_item(each)}", "green") for each in after if each not in before]
        for text, style in listed or [("in another order", "")]:
            yield "\n      "
            yield text, style
        return
    yield from ((json.dumps(before), "red"), " -> ", (json.dumps(after), "green"))


def _item(item: object) -> str:
    """Return an element of a list: of an attached metric, its name, the expected direction and the margin."""
    if isinstance(item, dict) and isinstance(item.get("metric"), dict):
        margin = "" if item.get("margin") is None else f", margin {100 * item['margin']:g} %"
        return f"{printable(item['metric']['name'])} ({item['expected_direction']}{margin})"
    if isinstance(item, dict):
        item = {name: value for name, value in item.items() if value not in (None, [], {})}
    return json.dumps(item)


def _summary(differences: list[Difference]) -> str:
    actions = Counter(difference.action for difference in differences)
    kept = f", {actions['keep']} kept" if actions["keep"] else ""
    if not actions:
        return "Everything is as declared"
    return f"{actions['create']} created, {actions['change']} changed{kept}"
