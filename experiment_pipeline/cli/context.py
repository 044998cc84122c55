"""What every command works with: settings, the registry, a console, and who is at the keyboard."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
from rich.console import Console

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.settings import Settings

REPORT_WIDTH = 150  # columns

if TYPE_CHECKING:  # SQLAlchemy and Alembic take their time: `--help` does without
    from experiment_pipeline.registry.repository import Registry


@dataclass(frozen=True)
class Context:
    """Handed to every command by click."""

    settings: Settings
    console: Console = field(default_factory=Console)

    @contextmanager
    def registry(self, *, create: bool = False, dry_run: bool = False) -> Iterator["Registry"]:
        """The registry, its schema up to date; one line and exit code 1 when its database does not answer.

        create:  begin one in a data directory that has none, and say so
        dry_run: look at an empty one in memory where there is none
        """
        from sqlalchemy.exc import OperationalError

        from experiment_pipeline.registry.repository import Registry

        url = self.settings.database_url
        if dry_run and not self.has_begun:
            url = "sqlite://"
        elif create and not self.has_begun:
            click.echo(f"Beginning a new registry at {self.settings.registry_file}.", err=True)
        else:
            self.require_begun()
        try:
            registry = Registry.open(url)
            try:
                yield registry
            finally:
                registry.close()
        except OperationalError as unreachable:
            reason = str(unreachable.orig).strip().splitlines()[0]
            raise click.ClickException(f"The registry's database does not answer: {reason}") from unreachable

    @property
    def has_begun(self) -> bool:
        """Whether there is a registry, as far as can be told without opening it."""
        file = self.settings.registry_file
        try:
            return file is None or file.exists()
        except PermissionError:
            return True  # opening it tells

    def require_begun(self) -> None:
        """Refuse a data directory without a registry: it is more likely mistyped than new. Raises NotFound."""
        if not self.has_begun:
            begin = "begin one with `apply` or `environments create`"
            raise NotFound(f"No registry at {self.settings.registry_file}. Name another --data-dir, or {begin}.")

    def environment(self, registry: "Registry", given: str | None) -> str:
        """The environment that an option names, or the only one that there is."""
        known = [environment.key for environment in registry.environments()]
        if given is None and len(known) == 1:
            return known[0]
        if given is None:
            message = f"Name one of {', '.join(known)}." if known else "There is none yet: declare one with `apply`."
            raise ConfigurationError.of("--environment", message)
        if given not in known:
            raise NotFound(f"No environment '{given}'.{_meant(given, known)}")
        return given

    @property
    def wide_console(self) -> Console:
        """For tables: the terminal's own width, or enough columns where nobody's terminal says otherwise."""
        return self.console if self.console.is_terminal else Console(width=REPORT_WIDTH)

    def find(self, registry: "Registry", key: str, environment: str | None) -> Experiment:
        """The experiment of a key, in any environment when none is named. Raises NotFound, or ConfigurationError."""
        known = registry.list_experiments(environment)
        found = [experiment for experiment in known if key in (experiment.key, str(experiment.id))]
        if not found:
            meant = _meant(key, [experiment.key for experiment in known])
            raise NotFound(f"No experiment '{key}'{f' in {environment}' if environment else ''}.{meant}")
        if len(found) > 1:
            several = ", ".join(sorted(experiment.environment_key for experiment in found))
            raise ConfigurationError.of("--environment", f"several environments have a '{key}': name one of {several}.")
        return found[0]

    @property
    def actor(self) -> str:
        """For the audit log (rule L5)."""
        return f"cli:{getpass.getuser()}"[:255]

    @property
    def now(self) -> datetime:
        """This moment, UTC."""
        return datetime.now(UTC)


def _meant(given: str, known: list[str]) -> str:
    near = get_close_matches(given, known, n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
