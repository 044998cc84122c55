"""`experiment-pipeline registry`."""

import json
from typing import TYPE_CHECKING

import click
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.repair import progress_bar
from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.registry import copying
from experiment_pipeline.registry.engine import closing_engine, open_engine, shown, sqlite_file
from experiment_pipeline.registry.wait_limits import WaitLimits
from experiment_pipeline.settings import PREFIX
from experiment_pipeline.storage.places import places_of

if TYPE_CHECKING:
    from experiment_pipeline.lake.binding import Binding

WHOLE_TABLES = WaitLimits(answer=3_600)  # a statement may read or compare one


@click.group()
def registry() -> None:
    """Copy the registry to another database, or bind it to its lake."""


@registry.command()
@click.option(
    "--to",
    "target_url",
    metavar="URL",
    required=True,
    envvar=f"{PREFIX}COPY_TO",
    show_envvar=True,
    help="SQLAlchemy URL of an empty database, e.g. postgresql://user@host/name or sqlite:////path/file.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be copied, and change nothing.")
@options.as_json
@click.pass_obj
def copy(context: Context, target_url: str, dry_run: bool, as_json: bool) -> None:
    """Copy every table of the registry to another database, SQLite or PostgreSQL, and compare both.

    Stop every process of the installation first: what they change meanwhile would be missing, and the copy is refused.
    The registry stays as it is. A copy that was interrupted goes on when the command is repeated; until it is complete
    no process can use it. The target's password may come from PGPASSWORD or ~/.pgpass instead of the URL.

    \b
    Examples:
      experiment-pipeline registry copy --to postgresql://pipeline@db.example.com/experiments --dry-run
      experiment-pipeline registry copy --to sqlite:////srv/experiments/registry.sqlite
    """
    where = shown(target_url)
    with context.registry(limits=WHOLE_TABLES) as source:
        rows = copying.count_rows(source.engine)
        total = sum(rows.values())
        try:
            with closing_engine(_target(target_url, dry_run=dry_run)) as target:
                begun = copying.require_copyable(source.engine, target)
                if not dry_run:
                    with progress_bar(context, "rows") as bars:
                        bar = bars.add_task("Copying", total=total)
                        copying.copy_registry(
                            source.engine,
                            target,
                            lambda table, done: bars.update(bar, advance=done, description=f"Copying {table}"),
                        )
        except RegistryUnavailable as away:
            raise click.ClickException(f"{where}: {away.cause}") from away
        except DBAPIError as failed:
            raise click.ClickException(f"{where}: {str(failed.orig).strip().splitlines()[0]}") from failed
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "to": where, "begun_before": bool(begun), "rows": rows}, indent=2))
        return
    if dry_run:
        for table, count in rows.items():
            click.echo(f"{table}: {count:,} rows")
        begun_already = ", going on with the copy that is begun there" if begun else ""
        click.echo(f"{total:,} rows in {len(rows)} tables would be copied to {where}{begun_already}.")
        return
    click.echo(f"Copied {total:,} rows in {len(rows)} tables to {where}. Counts and digests of all tables agree.")
    click.echo(f"Next: set {PREFIX}REGISTRY_URL to that database for every process, run `lake status`, and start them.")
    click.echo("The old registry is unchanged. Do not use it any more: what is written there would be missing here.")


@registry.command()
@click.option(
    "--to", "found", metavar="LAKE", help="The id of the lake in this data directory: bind the registry to it."
)
@options.as_json
@click.pass_obj
def bind(context: Context, found: str | None, as_json: bool) -> None:
    """Bind the registry to the lake in this data directory, where it belongs to another one.

    Without --to nothing changes: both ids are shown, and whether it can be done. Refused where a batch that the
    registry knows is another one in this lake, or nothing tells: its events would be lost unnoticed.

    \b
    Examples:
      experiment-pipeline registry bind
      experiment-pipeline registry bind --to 2b6f0cc9-04d1-4a60-b3c5-7c2e9f2d8a11
    """
    from experiment_pipeline.lake.binding import bind, plan_binding

    root = places_of(context.settings).lake
    with context.registry() as opened:
        if found is None:
            binding = plan_binding(root, opened.batches, opened.repairs)
        else:
            binding = bind(root, opened.batches, opened.repairs, found, actor=context.actor, now=context.now)
    if as_json:
        shown = {"dry_run": found is None, "known": binding.known, "found": binding.found}
        click.echo(json.dumps({**shown, "compared": binding.compared, "lacking": list(binding.lacking)}, indent=2))
    else:
        _print_binding(binding, is_bound=found is not None)


def _print_binding(binding: "Binding", *, is_bound: bool) -> None:
    from experiment_pipeline.lake.soundness import named

    if not binding.is_needed:
        click.echo(f"The registry belongs to the lake here, {binding.found}: there is nothing to bind.")
        return
    click.echo(f"The registry {'belonged' if is_bound else 'belongs'} to the lake {binding.known}.")
    click.echo(f"The lake here is {binding.found}; {binding.compared:,} of its batches are the registry's own.")
    if binding.lacking:
        click.echo(f"It lacks {named(binding.lacking)} that the registry knows: `lake repair` reads them again.")
    if is_bound:
        click.echo("The registry belongs to the lake here now. Next: run `lake status`.")
    else:
        click.echo(f"Nothing has changed. To bind the registry to this lake: registry bind --to {binding.found}")


def _target(url: str, *, dry_run: bool) -> Engine:
    """Return an engine for the target; a dry run makes no SQLite file where there is none."""
    parsed = make_url(url)
    file = sqlite_file(parsed) if parsed.get_backend_name() == "sqlite" else None
    missing = file is not None and not file.exists()
    return open_engine("sqlite://" if dry_run and missing else url, WHOLE_TABLES)
