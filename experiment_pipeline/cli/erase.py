"""`experiment-pipeline erase`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context, confirm
from experiment_pipeline.cli.repair import open_lake, progress_bar
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.events import NAME_LIMIT
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.times import iso_utc

if TYPE_CHECKING:
    from experiment_pipeline.erasure.erase import ErasureReport
    from experiment_pipeline.registry.registry import Registry

NOT_SEARCHED = (
    "Not searched: backups, the sources that events are read from, the logs that processes print, Dagster's storage in "
    "PostgreSQL, and other people's copies. See docs/erasure.md."
)
NOT_SEARCHED_OF_BUCKET = (
    "Nor were earlier versions of objects, if the bucket keeps any, and the data directories of other machines, where "
    "the spool of a collector may hold events: erase there, too."
)
TOO_SHORT = "The identifier is too short to be told from other words: free texts were not searched for it."


@click.command()
@click.option(
    "--identifier", required=True, metavar="ID", help="The identity whose records are erased, as events have it."
)
@click.option("--environment", "-e", metavar="KEY", help="In this environment alone; by default in every one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Search every store, and change nothing.")
@options.as_json
@click.pass_obj
def erase(
    context: Context, *, identifier: str, environment: str | None, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Erase the records of the identity ID from every store, and show that none is left.

    What a sender or a source brings of it again is left out, unless it is dated later. Published results stay; running
    experiments count the identity no more from their next refresh on. The command waits for runs of the environment's
    experiments, and ingestion waits for it. The same command goes on with an erasure that was interrupted.

    \b
    Examples:
      experiment-pipeline erase --identifier user-4711 --dry-run
      experiment-pipeline erase --identifier user-4711 --environment production --yes --json
    """
    if not 0 < len(identifier) <= NAME_LIMIT:
        raise ConfigurationError.of("--identifier", f"Must have 1 to {NAME_LIMIT:,} characters.")
    if not dry_run:
        confirm("Erase the records of this identity for good?", yes=yes, otherwise="Nothing was erased.")
    with context.registry() as registry:
        reports = [
            _report(context, registry, identifier, key, dry_run=dry_run)
            for key in _environments(context, registry, environment)
        ]
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "environments": list(map(_as_json, reports))}, indent=2))
        return
    for report in reports:
        _print(context, report)
    from experiment_pipeline.domain.erasures import LEAST_DISTINCTIVE

    if len(identifier) < LEAST_DISTINCTIVE:
        click.echo(TOO_SHORT)
    click.echo(NOT_SEARCHED)
    if places_of(context.settings).is_shared:
        click.echo(NOT_SEARCHED_OF_BUCKET)


def _environments(context: Context, registry: "Registry", given: str | None) -> list[str]:
    """Return the environments to search: all that are declared, and those that objects have landed for."""
    from experiment_pipeline.landing.landing_zone import landed_environments

    if given is not None:
        return [context.environment(registry, given)]
    declared = {environment.key for environment in registry.environments.list()}
    return sorted(declared | landed_environments(places_of(context.settings).landing))


def _report(context: Context, registry: "Registry", identifier: str, key: str, *, dry_run: bool) -> "ErasureReport":
    from experiment_pipeline.erasure.erase import Eraser

    with progress_bar(context, "files") as progress:
        bar = progress.add_task(f"Searching {key}", total=None)
        eraser = Eraser(
            context.settings,
            registry,
            open_lake(context),
            key,
            identifier,
            context.actor,
            on_progress=lambda store, done: progress.update(bar, description=f"{key}: {store}", completed=done),
        )
        return eraser.plan(context.now) if dry_run else eraser.run(context.now)


def _as_json(report: "ErasureReport") -> dict[str, object]:
    return {
        "environment": report.environment_key,
        "erased_at": None if report.erased_at is None else iso_utc(report.erased_at),
        "stores": [asdict(each) for each in report.stores],
        "remaining": report.remaining,
        "linked": report.linked,
        "warehouse": report.warehouse,
    }


def _print(context: Context, report: "ErasureReport") -> None:
    is_dry = report.erased_at is None
    before = "" if report.erased_at is None else f", before {iso_utc(report.erased_at)}"
    click.echo(f"Environment {report.environment_key}{before}:")
    table = listing("store", "searched", "holding", "records", "to erase" if is_dry else "left")
    for each in report.stores:
        left = each.before if each.after is None else each.after
        held = (f"{each.before.holders:,}", f"{each.before.records:,}", f"{left.records:,}")
        add_row(table, each.store, f"{each.before.searched:,} {each.before.unit}", *held)
    context.wide_console.print(table)
    for name in report.unsearchable:
        click.echo(f"Damaged, and searched in part: {printable(name)}")
    if report.warehouse is not None:
        click.echo(
            f"Its events lie in the warehouse {printable(report.warehouse)}, where nothing was searched or erased."
        )
    if report.linked:
        told = ", ".join(map(printable, report.linked))
        click.echo(f"Linked with other identifiers, whose own records are not erased with it: {told}")
