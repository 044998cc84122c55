"""The context of a command: settings, the registry, a console, and the user's name for the audit log."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.texts import suggestion
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.settings import PREFIX, Settings
from experiment_pipeline.storage.places import places_of

REPORT_WIDTH = 160  # columns

if TYPE_CHECKING:  # SQLAlchemy and Alembic take their time: `--help` does without
    from experiment_pipeline.registry.registry import Registry
    from experiment_pipeline.registry.wait_limits import WaitLimits


def literal_console(width: int | None = None) -> Console:
    """Return a console that prints brackets and colons as they are: names hold both."""
    return Console(width=width, markup=False, emoji=False)


def in_phase(experiment: Experiment, phase: int | None) -> Experiment:
    """Return the experiment in a phase of it; None for the newest one. Raises NotFound."""
    return experiment if phase is None else experiment.in_phase(phase)


def confirm(question: str, *, yes: bool, otherwise: str = "Nothing was deleted.") -> None:
    """Ask in a terminal before something that cannot be undone, unless `--yes` is given.

    Args:
        question: that is asked.
        yes: whether it is answered already.
        otherwise: what is so where the answer is no.

    Raises:
        ConfigurationError: there is no terminal to ask in, and `--yes` is not given.
        click.exceptions.Exit: the answer is no; exit code 2.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError.of("--yes", f"Must be given where there is no terminal to ask in. {otherwise}")
    if not click.confirm(question, err=True):
        click.echo(otherwise, err=True)
        raise click.exceptions.Exit(2)


def _announce(message: str) -> None:
    click.echo(message, err=True)


@dataclass(frozen=True)
class Context:
    """Settings and console of one invocation; click gives it to every command."""

    settings: Settings
    console: Console = field(default_factory=literal_console)

    @contextmanager
    def registry(
        self,
        *,
        create: bool = False,
        dry_run: bool = False,
        announce: Callable[[str], None] = _announce,
        limits: "WaitLimits | None" = None,
    ) -> Iterator["Registry"]:
        """Yield the registry with its schema up to date, and close it.

        Args:
            create: create one in a data directory that has none, and say so.
            dry_run: use an empty one in memory where there is none.
            announce: says that one is created.
            limits: how long a call waits for the database.

        Raises:
            NotFound: there is no registry, and neither argument is set.
            RegistryUnavailable: the database does not answer, or takes no changes.
        """
        from experiment_pipeline.registry.registry import Registry

        url = self.settings.database_url
        if dry_run and not self.registry_exists:
            url = "sqlite://"
        elif create and not self.registry_exists:
            announce(f"Creating a new registry at {self.settings.registry_file}.{self._note_of_lake()}")
        else:
            self.require_registry()
        with closing(Registry.open(url, limits)) as registry:
            yield registry

    @property
    def registry_exists(self) -> bool:
        """Whether there is a registry, as far as can be known without opening it."""
        file = self.settings.registry_file
        try:
            return file is None or file.exists()
        except PermissionError:
            return True  # opening it says why it cannot be read

    def _note_of_lake(self) -> str:
        """Return a sentence about the batches of a lake that a new registry does not know; none without such."""
        from experiment_pipeline.lake.soundness import state_of

        newest = state_of(places_of(self.settings).lake).newest
        if not newest:
            return ""
        return (
            f" The lake beside it holds batches up to {newest} of an earlier registry: restore that one, or let this "
            "one adopt them with `lake repair`. Until then nothing is ingested or computed."
        )

    def require_registry(self) -> None:
        """Refuse a data directory without a registry: it is more likely mistyped than new.

        Raises:
            NotFound: names the file that is missing.
        """
        if not self.registry_exists:
            create = "create one with `apply` or `environments create`"
            raise NotFound(f"No registry at {self.settings.registry_file}. Name another --data-dir, or {create}.")

    def require_data_directory(self) -> None:
        """Refuse an installation in an object storage, for commands that work on a data directory alone.

        Raises:
            ConfigurationError: EXPERIMENT_PIPELINE_STORAGE is set.
        """
        if self.settings.storage is not None:
            raise ConfigurationError.of(
                f"{PREFIX}STORAGE", "This command works on a data directory alone, and changes nothing in a bucket."
            )

    def require_sound_lake(self, registry: "Registry") -> None:
        """Refuse to compute, ingest or delete anything where lake and registry do not fit.

        Raises:
            UnsoundLake: says what is missing, and the remedy.
        """
        from experiment_pipeline.lake.soundness import require_sound

        require_sound(places_of(self.settings).lake, registry.batches)

    def require_events_in_lake(self, registry: "Registry", environment_key: str, what: str) -> None:
        """Refuse what only an engine over the lake computes, in an environment that a warehouse analyses (rule N10).

        Args:
            registry: of the installation.
            environment_key: of the events.
            what: is asked for, with its article.

        Raises:
            ConfigurationError: the environment is analysed in a warehouse.
        """
        if environment_key in registry.warehouses.in_place(self.settings.default_warehouse):
            message = (
                f"Events of '{environment_key}' are analysed where they lie, and {what} is not computed there: "
                "docs/engines.md lists what is."
            )
            raise ConfigurationError.of("warehouse", message)

    def environment(self, registry: "Registry", given: str | None) -> str:
        """Return the key of the environment that an option names, or of the only one that there is.

        Raises:
            ConfigurationError: none is named, and there is not exactly one.
            NotFound: no environment has this key; suggests a similar one.
        """
        without_any = "There is none yet: declare one with `apply`."
        return registry.environments.only_or_named(given, field="--environment", without_any=without_any)

    @property
    def wide_console(self) -> Console:
        """A console for tables: as wide as the terminal, or `REPORT_WIDTH` columns without one."""
        return self.console if self.console.is_terminal else literal_console(REPORT_WIDTH)

    def find(self, registry: "Registry", key: str, environment: str | None) -> Experiment:
        """Return the experiment of a key, in any environment when none is named.

        Raises:
            NotFound: no experiment has this key; suggests a similar one.
            ConfigurationError: several environments have one of this key.
        """
        known = registry.experiments.list(environment)
        found = [experiment for experiment in known if key in (experiment.key, str(experiment.id))]
        if not found:
            near = suggestion(key, [experiment.key for experiment in known])
            raise NotFound(f"No experiment '{key}'{f' in {environment}' if environment else ''}.{near}")
        if len(found) > 1:
            several = ", ".join(sorted(experiment.environment_key for experiment in found))
            raise ConfigurationError.of("--environment", f"several environments have a '{key}': name one of {several}.")
        return found[0]

    @property
    def floors(self) -> Floors:
        """The least data that inference needs in this installation."""
        return Floors.of(self.settings)

    @property
    def actor(self) -> str:
        """The name of the user for the audit log (rule L5)."""
        return f"cli:{getpass.getuser()}"[:255]

    @property
    def now(self) -> datetime:
        """The present time, UTC."""
        return datetime.now(UTC)
