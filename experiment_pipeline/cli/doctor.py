"""`experiment-pipeline doctor`: what is checked, and where the facts come from. It reads, and changes nothing.

In an object storage it writes one object that tries conditional writes, and deletes it.
"""

import json
import os
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from experiment_pipeline.cli import diagnosis, options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.diagnosis import Finding, Severity, ok, problem
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ExperimentPipelineError, LakeError, StorageUnavailable
from experiment_pipeline.machine_errors import OWNER
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.places import places_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from experiment_pipeline.registry.registry import Registry

NO_REGISTRY = "Name another --data-dir, or create a registry with `apply` or `environments create`."


@click.command()
@options.as_json
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check the installation, and say what to do: packages, disk, permissions, clock, registry, lake, Dagster.

    It reads and changes nothing: it neither creates a registry nor brings its schema up to date. In an object storage
    it writes one object to try conditional writes, and deletes it. Exit code 1 with a problem, 0 with warnings or
    without any.

    \b
    Examples:
      experiment-pipeline doctor
      experiment-pipeline --data-dir demo-data doctor --json
    """
    context: Context = ctx.obj
    findings = list(examine(context.settings, datetime.now(UTC)))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        for each in findings:
            click.echo(printable(f"{each.severity:<8} {each.check}: {each.detail} {each.remedy}".rstrip()))
    if any(each.severity is Severity.PROBLEM for each in findings):
        ctx.exit(1)


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield the finding of every check that applies to an installation.

    Args:
        now: UTC.
    """
    yield diagnosis.check_python(diagnosis.this_python())
    yield diagnosis.check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield from _disk(settings)
    yield from _storage(settings)
    yield from _registry(settings, now)
    yield from _dagster(settings, now)


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.is_dir():
        yield problem("data_dir", f"There is no folder {folder.absolute()}.", NO_REGISTRY)
        return
    yield diagnosis.check_free_space(folder)
    yield diagnosis.check_permissions(folder)
    if os.access(folder, os.R_OK | os.X_OK):
        yield diagnosis.check_sync(folder)
        yield diagnosis.check_file_system([settings.landing_dir, settings.lake_dir])


def _storage(settings: Settings) -> Iterator[Finding]:
    root = places_of(settings).lake
    if isinstance(root, Path):
        return
    from experiment_pipeline.storage.conditional_writes import REMEDY, ignored_condition

    try:
        ignored = ignored_condition(root)
    except StorageUnavailable as error:
        yield problem("storage", str(error), "See whether its address and credentials are right, and the store is up.")
        return
    if ignored is not None:
        yield problem("storage", ignored, REMEDY)
        return
    yield ok("storage", f"The object storage {root.bucket} keeps the conditions of writes.")


def _registry(settings: Settings, now: datetime) -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from experiment_pipeline.registry.engine import closing_engine, open_existing, shown

    try:
        engine = open_existing(settings.database_url)
        if engine is None:
            yield problem("database", f"No registry at {shown(settings.database_url)}.", NO_REGISTRY)
            return
        if (file := settings.registry_file) is not None and file.is_file():
            yield diagnosis.check_registry_file(file)
        with closing_engine(engine):
            yield from _of_database(settings, engine, now)
    except ExperimentPipelineError as error:
        yield problem(
            "database", str(error), "See whether EXPERIMENT_PIPELINE_REGISTRY_URL is right, and the server up."
        )
    except OSError as refused:
        yield problem("database", f"{refused.strerror}: {shown(settings.database_url)}.", f"{OWNER}.")
    except SQLAlchemyError as error:  # its text may quote what is stored
        detail = f"{shown(settings.database_url)} cannot be read as a registry: {type(error).__name__}."
        yield problem("database", detail, "See whether it is a registry, and who may read it; or restore a backup.")


def _of_database(settings: Settings, engine: "Engine", now: datetime) -> Iterator[Finding]:
    from sqlalchemy import text

    from experiment_pipeline.registry.engine import current_revision, head_revision, knows_revision, reading
    from experiment_pipeline.registry.registry import Registry

    with reading(engine) as connection:
        began = time.monotonic()
        connection.execute(text("select 1")).all()
        took = time.monotonic() - began
        current = current_revision(connection)
        server = connection.dialect.name == "postgresql"
        clock = connection.scalar(text("select clock_timestamp()")) if server else None
        now = datetime.now(UTC) if server else now
    yield diagnosis.check_latency(timedelta(seconds=took))
    is_known = current is not None and knows_revision(current)
    yield diagnosis.check_schema(current, head_revision(), is_known=is_known)
    if current != head_revision():
        yield diagnosis.check_clock(now, clock, None)
        return
    registry = Registry(engine)
    yield diagnosis.check_clock(now, clock, _newest_arrival(registry))
    yield diagnosis.check_packages(_schemes(registry), _uses(settings, registry))
    yield _lake(settings, registry)


def _newest_arrival(registry: "Registry") -> datetime | None:
    from experiment_pipeline.registry.arrivals import newest_arrivals
    from experiment_pipeline.registry.engine import reading

    keys = [each.key for each in registry.environments.list()]
    with reading(registry.engine) as connection:
        found = [moment for key in keys for moment in newest_arrivals(connection, key).values() if moment is not None]
    return max(found, default=None)


def _schemes(registry: "Registry") -> set[str]:
    """Return the URL schemes of the connections; never more of a URL, which may hold a password."""
    declared = registry.connections.list()
    urls = [os.environ.get(each.url_env, "") if each.url_env else each.url or "" for each in declared]
    return {url.partition(":")[0].partition("+")[0].lower() for url in urls}


def _uses(settings: Settings, registry: "Registry") -> set[str]:
    """Return what else needs packages: targets of apprise, and a Dagster that keeps its runs in PostgreSQL."""
    from experiment_pipeline.domain.notifications import TargetKind

    kinds = {target.kind for target in registry.notification_targets.list()}
    uses = {"apprise"} if TargetKind.APPRISE in kinds else set()
    configuration = _dagster_home(settings) / "dagster.yaml"
    if os.access(configuration, os.R_OK) and "dagster_postgres" in configuration.read_text("utf-8", errors="replace"):
        uses.add("dagster_postgres")
    return uses


def _dagster_home(settings: Settings) -> Path:
    return Path(os.environ.get("DAGSTER_HOME") or settings.dagster_home)


def _lake(settings: Settings, registry: "Registry") -> Finding:
    from experiment_pipeline.lake.soundness import find_flaw

    try:
        flaw = find_flaw(places_of(settings).lake, registry.batches)
    except (LakeError, OSError) as error:
        return problem("lake", str(error), "See docs/lake.md, or restore a backup.")
    if flaw is not None:
        return problem("lake", flaw.message, "Nothing is ingested or computed until then.")
    return ok("lake", "The lake fits the registry.")


def _dagster(settings: Settings, now: datetime) -> Iterator[Finding]:
    home = _dagster_home(settings)
    if not os.access(home, os.R_OK | os.X_OK):  # none here, or check_permissions says so
        return
    yield diagnosis.check_secrets([home / "dagster.yaml"])
    file = home / "history" / "runs.db"
    if not file.is_file():  # no Dagster here, or one that keeps its runs on a server
        return
    kept = "" if Path(f"{file}-wal").exists() else "&immutable=1"  # as open_existing has it
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro{kept}", uri=True)) as connection:
            rows = connection.execute("select daemon_type, timestamp from daemon_heartbeats").fetchall()
        heartbeats = {kind: datetime.fromisoformat(moment).replace(tzinfo=UTC) for kind, moment in rows}
    except (sqlite3.Error, ValueError):
        remedy = (
            "See who may read it, and whether Dagster's version is the one that wrote it (`dagster instance migrate`)."
        )
        yield problem("daemon", f"{file} cannot be read.", remedy)
        return
    yield diagnosis.check_heartbeats(heartbeats, now)
