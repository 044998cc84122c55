"""`experiment-pipeline audit`."""

import json
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.texts import shortened

if TYPE_CHECKING:
    from experiment_pipeline.registry.audit import AuditRecord


@click.group()
def audit() -> None:
    """Show who changed what, when, from what to what."""


@audit.command("list")
@options.any_environment
@click.option("--subject", help="What was changed: experiment:12, or experiment for every one of them.")
@click.option("--actor", help="Who changed it: cli:NAME or key:PREFIX.")
@click.option("--action", help="How: create, change, delete, revoke, read, or the status that it moved to.")
@click.option("--page", default=1, show_default=True, type=click.IntRange(1, 1_000_000), help="1 is the newest.")
@click.option("--page-size", default=50, show_default=True, type=click.IntRange(1, 999), help="Changes on a page.")
@options.as_json
@click.pass_obj
def list_changes(
    context: Context,
    *,
    environment: str | None,
    subject: str | None,
    actor: str | None,
    action: str | None,
    page: int,
    page_size: int,
    as_json: bool,
) -> None:
    """List changes, newest first.

    \b
    Examples:
      experiment-pipeline audit list --subject experiment:1
      experiment-pipeline audit list --actor key:0a1b2c3d4e5f --page 2
    """
    chosen = {"subject": subject, "actor": actor, "action": action}
    with context.registry() as registry:
        key = environment and context.environment(registry, environment)
        count = registry.audit.count(key, **chosen)
        found = registry.audit.list(key, **chosen, limit=page_size, offset=(page - 1) * page_size)
    if as_json:
        from experiment_pipeline.schemas.responses import ChangeView

        shown = [
            {"environment": each.environment_key, **ChangeView.model_validate(each).model_dump(mode="json")}
            for each in found
        ]
        click.echo(json.dumps(shown, indent=2))
        return
    table = listing("at", "environment", "actor", "subject", "action", "before and after")
    for each in found:
        at = f"{each.at:%Y-%m-%d %H:%M:%S}"
        add_row(table, at, each.environment_key, each.actor, each.subject, each.action, _difference(each))
    context.wide_console.print(table)
    first = (page - 1) * page_size + 1
    if count > len(found):
        shown_range = f"{first} to {first + len(found) - 1}" if found else "None"
        click.echo(f"{shown_range} of {count} changes; --page shows others.")


def _difference(change: "AuditRecord") -> str:
    """Return the fields of a change that differ, from what to what, or the path of a read; nothing for a creation.

    `updated_at` differs always, and says no more than when the change was made.
    """
    if change.action == "read" and change.after is not None:
        return str(change.after["path"])
    if change.before is None or change.after is None:
        return ""
    from experiment_pipeline.registry.audit import changes

    differing = changes(change.before, change.after)
    return ", ".join(
        f"{name}: {_short(old)} -> {_short(new)}" for name, (old, new) in differing.items() if name != "updated_at"
    )


def _short(value: Any) -> str:
    """Return a value as JSON, its end left out where it is long."""
    return shortened(json.dumps(value, ensure_ascii=False), 60)
