"""Checks of an installation, one function each: facts in, a finding with what to do out. None changes anything."""

import os
import re
import shutil
import stat
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from experiment_pipeline.durable_files import sync
from experiment_pipeline.machine_errors import FILES, FREE, LEAST_OPEN_FILES, OWNER

OLDEST_PYTHON = (3, 11)
MODULES = {  # that an extra brings, by the scheme of a connection
    "postgresql": ("postgres", ("adbc_driver_postgresql",)),
    "bigquery": ("bigquery", ("adbc_driver_bigquery",)),
    "snowflake": ("snowflake", ("adbc_driver_snowflake",)),
    "clickhouse": ("clickhouse", ("clickhouse_connect", "nanoarrow")),
    "clickhouses": ("clickhouse", ("clickhouse_connect", "nanoarrow")),
}
MODULES_OF_USES = {  # likewise, by what needs it
    "apprise": ("notify", ("apprise",)),
    "dagster_postgres": ("postgres", ("dagster_postgres",)),
}
GIBIBYTE = 1 << 30
LEAST_FREE, LITTLE_FREE = GIBIBYTE // 4, 2 * GIBIBYTE
COMFORTABLE_OPEN_FILES = 1024
CLOCK_TOLERANCE = timedelta(seconds=5)
SLOW = timedelta(milliseconds=200)
HEARTBEAT_AGE = timedelta(minutes=5)  # Dagster's daemons report twice a minute
PASSWORD = re.compile(r"://[^\s:/@]*:[^\s@]+@|^\s*password:[ \t]*[^\s{#]", re.MULTILINE)


class Severity(StrEnum):
    """Weight of a finding."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding of one check: its name, the severity, a sentence, and what to do (empty where nothing is)."""

    check: str
    severity: Severity
    detail: str
    remedy: str = ""


def ok(check: str, detail: str) -> Finding:
    """Return a finding that nothing is to be done about."""
    return Finding(check, Severity.OK, detail)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """Return a finding that somebody should know."""
    return Finding(check, Severity.WARNING, detail, remedy)


def problem(check: str, detail: str, remedy: str) -> Finding:
    """Return a finding that keeps the installation from working."""
    return Finding(check, Severity.PROBLEM, detail, remedy)


def check_python(version: tuple[int, int]) -> Finding:
    """Return whether this version of Python is supported, as a finding."""
    detail = "Python {}.{}.".format(*version)
    if version < OLDEST_PYTHON:
        return problem("python", detail, "Install Python {}.{} or newer.".format(*OLDEST_PYTHON))
    return ok("python", detail)


def check_packages(schemes: Collection[str], uses: Collection[str] = ()) -> Finding:
    """Return whether the packages are installed that an installation needs, as a finding.

    Args:
        schemes: of the URLs of its connections.
        uses: what else needs packages, of `MODULES_OF_USES`.
    """
    known = {MODULES[scheme] for scheme in schemes if scheme in MODULES} | {MODULES_OF_USES[each] for each in uses}
    lacking = sorted({extra for extra, modules in known if not all(map(find_spec, modules))})
    if lacking:
        remedy = f"pip install 'experiment-pipeline[{','.join(lacking)}]'"
        told = f"Connections, notifications or Dagster need the extras {', '.join(lacking)}."
        return problem("packages", told, remedy)
    return ok("packages", "Every package that connections, notifications and Dagster need is installed.")


def check_free_space(folder: Path) -> Finding:
    """Return whether the file system of an existing folder has space left, as a finding."""
    free = shutil.disk_usage(folder).free
    detail = f"{free / GIBIBYTE:.1f} GiB are free at {folder}."
    if free < LEAST_FREE:
        return problem("free_space", detail, f"{FREE}.")
    return warning("free_space", detail, f"{FREE}.") if free < LITTLE_FREE else ok("free_space", detail)


def check_permissions(folder: Path) -> Finding:
    """Return whether this user can read and write a folder, the folders in it and their files, as a finding."""
    refused: list[str] = []
    for path in _two_levels(folder):
        mode = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
        if not os.access(path, mode) and os.path.lexists(path):  # temporary files go meanwhile
            refused.append(str(path))
    if refused:
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        return problem("permissions", f"Not readable and writable: {', '.join(refused[:3])}{more}.", f"{OWNER}.")
    return ok("permissions", f"{folder} and what is in it can be read and written.")


def check_sync(folder: Path) -> Finding:
    """Return whether the file system writes a folder's entries to the disk on request, as a finding."""
    try:
        sync(folder)
    except OSError as refused:
        remedy = "Use a local file system: without fsync a power cut loses what was confirmed."
        return problem("fsync", f"{refused.strerror}: {folder}.", remedy)
    return ok("fsync", f"fsync works at {folder}.")


def check_file_system(folders: Collection[Path]) -> Finding:
    """Return whether folders lie on one file system each with the folders in them, as a finding.

    A file is renamed from one to another there, which is atomic within a file system alone.
    """
    for folder in filter(Path.is_dir, folders):
        for below in filter(Path.is_dir, folder.iterdir()):
            if below.stat().st_dev != folder.stat().st_dev:
                remedy = f"Mount one file system at {folder}, none below it."
                return problem("file_system", f"{below} is on another file system than {folder}.", remedy)
    return ok("file_system", "Files are renamed within one file system each.")


def check_secrets(files: Collection[Path]) -> Finding:
    """Return whether one of the files holds a password and is readable by everybody, as a finding."""
    for file in files:
        is_open = file.is_file() and os.access(file, os.R_OK) and file.stat().st_mode & stat.S_IROTH
        if is_open and PASSWORD.search(file.read_text("utf-8", errors="replace")):
            remedy = f"chmod o-r {file}, or let it name an environment variable (env:) in place of the password."
            return problem("secrets", f"{file} holds a password, and everybody can read it.", remedy)
    return ok("secrets", "No configuration that everybody can read holds a password.")


def check_registry_file(file: Path) -> Finding:
    """Return whether others than its owner and group can read the registry's file, as a finding."""
    mode, above = file.stat().st_mode, file.parent.stat().st_mode
    if mode & stat.S_IROTH and above & stat.S_IXOTH:
        detail = f"Everybody can read {file}: it has what API keys are checked against, and the key of erasures."
        return warning("registry_file", detail, f"chmod 0700 {file.parent}")
    return ok("registry_file", "Its owner and group alone can read the registry's file.")


def check_open_files(limit: int) -> Finding:
    """Return whether a process may open enough files, as a finding.

    Args:
        limit: of this process; negative for none.
    """
    detail = "Open files are not limited." if limit < 0 else f"{limit} open files are allowed."
    if 0 <= limit < LEAST_OPEN_FILES:
        return problem("open_files", detail, f"{FILES}.")
    return (
        warning("open_files", detail, f"{FILES}.") if 0 <= limit < COMFORTABLE_OPEN_FILES else ok("open_files", detail)
    )


def check_schema(current: str | None, head: str, *, is_known: bool) -> Finding:
    """Return whether the registry's schema is the one that this code needs, as a finding.

    Args:
        current: the schema's revision; None for a database without a registry.
        head: the revision that this code needs.
        is_known: whether this code knows the current revision.
    """
    if current == head:
        return ok("schema", f"The registry's schema is {head}, as this release needs it.")
    if current is None:
        return problem("schema", "The database holds no registry.", "Declare something with `apply` to create it.")
    detail = f"The registry's schema is {current}, this release needs {head}."
    if is_known:
        return warning("schema", detail, "Make a `backup`; then any other command brings the schema up to date.")
    return problem("schema", detail, "Install the release that wrote it, or a newer one.")


def check_latency(took: timedelta) -> Finding:
    """Return whether the database answers quickly, as a finding."""
    detail = f"The registry's database answered in {took / timedelta(milliseconds=1):.0f} ms."
    if took > SLOW:
        return warning("latency", detail, "Place it in the same network, or see what it is busy with.")
    return ok("latency", detail)


def check_clock(now: datetime, database: datetime | None, newest_arrival: datetime | None) -> Finding:
    """Return whether this machine's clock agrees with others, as a finding; all moments in UTC.

    Args:
        now: by this machine's clock.
        database: by the clock of the database's server; None where it is this machine's.
        newest_arrival: when the newest events landed; None where none have.
    """
    remedy = "Set this machine's clock by NTP."
    if database is not None and abs(now - database) > CLOCK_TOLERANCE:
        apart = abs(now - database).total_seconds()
        return problem("clock", f"This clock and that of the database are {apart:.0f} s apart.", remedy)
    if newest_arrival is not None and newest_arrival - now > CLOCK_TOLERANCE:
        ahead = (newest_arrival - now).total_seconds()
        return problem("clock", f"The newest events landed {ahead:.0f} s after now, by this clock.", remedy)
    return ok("clock", f"It is {now:%Y-%m-%d %H:%M:%S} UTC.")


def check_heartbeats(heartbeats: Mapping[str, datetime], now: datetime) -> Finding:
    """Return whether Dagster's daemons have reported lately, as a finding.

    Args:
        heartbeats: the newest by kind of daemon, UTC.
        now: UTC.
    """
    remedy = "Start `experiment-pipeline dev`, or `dagster-daemon run`: nothing refreshes by itself without it."
    if not heartbeats:
        return warning("daemon", "Dagster's daemon has never run here.", remedy)
    newest = max(heartbeats.values())
    if now - newest > HEARTBEAT_AGE:
        return warning("daemon", f"Dagster's daemon reported last at {newest:%Y-%m-%d %H:%M:%S} UTC.", remedy)
    return ok("daemon", "Dagster's daemon runs.")


def this_python() -> tuple[int, int]:
    """Return the version of Python that runs this."""
    return sys.version_info.major, sys.version_info.minor


def _two_levels(folder: Path) -> Iterator[Path]:
    """Yield a folder, what is in it, and what is in the folders there, as far as they can be listed."""
    yield folder
    for path in _listed(folder):
        yield path
        yield from _listed(path)


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        return []
    return sorted(folder.iterdir())
