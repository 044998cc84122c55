"""`experiment-pipeline backup` and `experiment-pipeline restore`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import DBAPIError

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.repair import progress_bar
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.storage.places import places_of

if TYPE_CHECKING:
    from experiment_pipeline.backup.parts import Parts

FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.command()
@FOLDER
@click.option("--dry-run", is_flag=True, help="Show what would be copied, and change nothing.")
@options.as_json
@click.pass_obj
def backup(context: Context, folder: Path, dry_run: bool, as_json: bool) -> None:
    """Copy registry, lake, landing zone and artifacts to the new or empty FOLDER, while processes run or not.

    Registry and lake are of one moment; ingestion waits while that moment is fixed. A PostgreSQL registry becomes a
    SQLite file, so a backup can be restored anywhere. Dagster's history of runs is not part of it.

    \b
    Examples:
      experiment-pipeline --data-dir demo-data backup /mnt/backups/2026-03-01 --dry-run
      experiment-pipeline --data-dir demo-data backup /mnt/backups/2026-03-01
    """
    from experiment_pipeline.backup.create import create_backup, plan_backup, require_unused

    context.require_data_directory()
    if folder.absolute().is_relative_to(context.settings.data_dir.absolute()):
        raise ConfigurationError.of("FOLDER", "must lie outside the data directory.")
    require_unused(folder)
    with context.registry() as registry:
        plan = plan_backup(_parts(context), registry.engine)
        if dry_run:
            if as_json:
                _print({"dry_run": True, "folder": str(folder), **asdict(plan)})
                return
            click.echo(f"registry: {plan.rows:,} rows")
            for name, (files, size) in plan.folders.items():
                click.echo(f"{name}: {files:,} files, {size / 1e6:,.1f} MB")
            click.echo(f"They would be copied to {folder}.")
            return
        with progress_bar(context, "bytes") as bars:
            bar = bars.add_task("Copying", total=plan.bytes)
            made = create_backup(_parts(context), registry.engine, folder, lambda done: bars.advance(bar, done))
    if as_json:
        _print({"dry_run": False, "folder": str(folder), **asdict(made)})
        return
    click.echo(f"Backed up to {folder}: {made.files:,} files, {made.bytes / 1e6:,.1f} MB,", nl=False)
    click.echo(f" data version {made.data_version}, as of {made.created:%Y-%m-%d %H:%M:%S} UTC.")
    click.echo("It holds events and what API keys are checked against: keep it where only you can read it.")


@click.command()
@FOLDER
@click.option("--dry-run", is_flag=True, help="Compare every file of the backup with its digest, and change nothing.")
@options.as_json
@click.pass_obj
def restore(context: Context, folder: Path, dry_run: bool, as_json: bool) -> None:
    """Restore the backup in FOLDER to the data directory, which has to be empty, and the registry to where it belongs.

    The registry goes to EXPERIMENT_PIPELINE_REGISTRY_URL where that is set, whose database has to be empty, and to a
    SQLite file in the data directory otherwise. Every file is compared with its digest. A restore that was interrupted
    goes on when the command is repeated.

    \b
    Example:
      experiment-pipeline --data-dir restored restore /mnt/backups/2026-03-01
    """
    from experiment_pipeline.backup.manifest import read_manifest
    from experiment_pipeline.backup.restore import require_restorable, verify
    from experiment_pipeline.backup.restore import restore as restore_backup

    context.require_data_directory()
    settings = context.settings
    url = None if settings.registry_url is None else settings.database_url
    manifest = read_manifest(folder)
    try:
        require_restorable(folder, settings.data_dir, url)
        with progress_bar(context, "bytes") as bars:
            if dry_run:
                bar = bars.add_task("Comparing", total=manifest.bytes)
                verify(folder, lambda done: bars.advance(bar, done))
            else:
                bar = bars.add_task("Restoring", total=manifest.bytes)
                restore_backup(folder, settings.data_dir, url, lambda done: bars.advance(bar, done))
    except DBAPIError as failed:
        raise click.ClickException(f"The registry's database: {str(failed.orig).strip().splitlines()[0]}") from failed
    if as_json:
        _print({"dry_run": dry_run, "data_dir": str(settings.data_dir), **asdict(manifest)})
        return
    what = f"{manifest.files:,} files, {manifest.bytes / 1e6:,.1f} MB, data version {manifest.data_version}"
    if dry_run:
        click.echo(f"The backup of {manifest.created:%Y-%m-%d %H:%M:%S} UTC is whole: {what}.")
        click.echo(f"It would be restored to {settings.data_dir}.")
        return
    click.echo(f"Restored the backup of {manifest.created:%Y-%m-%d %H:%M:%S} UTC to {settings.data_dir}: {what}.")
    click.echo("Next: run `lake status`, then start the processes. Stop those of the installation that was backed up,")
    click.echo("if they still run: two copies of one installation would go separate ways.")


def _print(values: Mapping[str, object]) -> None:
    click.echo(json.dumps(values, indent=2))


def _parts(context: Context) -> "Parts":
    from experiment_pipeline.backup.parts import Parts
    from experiment_pipeline.lake.lake import Lake

    places = places_of(context.settings)
    return Parts(Lake(places.lake), local_folder(places.landing), local_folder(places.artifacts))
