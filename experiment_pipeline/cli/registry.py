"""`experiment-pipeline registry`."""

import json
from pathlib import Path

import click
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.repair import progress_bar
from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.registry import copying
from experiment_pipeline.registry.engine import closing_engine, open_engine, shown
from experiment_pipeline.registry.wait_limits import WaitLimits
from experiment_pipeline.settings import PREFIX

WHOLE_TABLES = WaitLimits(answer=3_600)  # a statement may read or compare one


@click.group()
def registry() -> None:
    """Copy the registry to another database."""


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


def _target(url: str, *, dry_run: bool) -> Engine:
    """Return an engine for the target; a dry run makes no SQLite file where there is none."""
    parsed = make_url(url)
    missing = parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).exists()
    return open_engine("sqlite://" if dry_run and missing else url, WHOLE_TABLES)
