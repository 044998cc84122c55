"""The state of a component: registry, lake and artifacts in a folder that lasts longer than a run (P8)."""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from experiment_pipeline.durable_files import make_folder
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.settings import Settings

HOME = "DAGSTER_HOME"
FOLDER = "experiments"  # below it
TEMPORARY_HOME = ".tmp_dagster_home_"  # in Dagster's words, of a home that `dagster dev` removes when it ends
LOCK = "tables.lock"
PASSING = {  # variables of the environment that say where a run's own disk ends with the run
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
    "ECS_CONTAINER_METADATA_URI_V4": "ECS",
    "ECS_CONTAINER_METADATA_URI": "ECS",
    "DAGSTER_CLOUD_IS_SERVERLESS": "Dagster+ Serverless",
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
}
BRANCH, BRANCH_NAME = "DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT", "DAGSTER_CLOUD_DEPLOYMENT_NAME"
NO_NAME = re.compile(r"[^A-Za-z0-9_]")  # in the name of a table
LASTS = "a folder on a disk that lasts"


@dataclass(frozen=True, slots=True)
class ComponentState:
    """Where a component keeps its state.

    Attributes:
        name: of the component's own folder below DAGSTER_HOME.
        folder: that is configured in its place; None for the default.
        registry_variable: the variable of the environment that holds the registry's URL; None for SQLite in the folder.
    """

    name: str
    folder: Path | None
    registry_variable: str | None

    def settings(self, environ: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings of the installation that the state is.

        Raises:
            ConfigurationError: the folder would not last, or the registry's variable is not set.
        """
        url = self._registry_url(environ)
        return Settings(data_dir=self._place(environ), registry_url=None if url is None else SecretStr(url))

    @staticmethod
    def own_table(table: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
        """Return the table that results are written to: a branch deployment has one of its own beside it."""
        if table is None or environ.get(BRANCH) != "1":
            return table
        bare, quote = (table[:-1], '"') if table.endswith('"') else (table, "")
        return f"{bare}__{re.sub(NO_NAME, '_', environ.get(BRANCH_NAME, 'branch'))}{quote}"

    def _place(self, environ: Mapping[str, str]) -> Path:
        place = self.folder or self._default(environ)
        return place / environ.get(BRANCH_NAME, "branch") if environ.get(BRANCH) == "1" else place

    def _default(self, environ: Mapping[str, str]) -> Path:
        home = environ.get(HOME, "").strip()
        if not home or Path(home).name.startswith(TEMPORARY_HOME):
            message = (
                f"{HOME} is not set, so Dagster forgets its runs, and this component would forget its looks. "
                f"Set {HOME} to {LASTS}, or give `state` one."
            )
            raise ConfigurationError.of("state", message)
        passing = next((place for variable, place in PASSING.items() if environ.get(variable)), None)
        if passing is not None:
            message = (
                f"A run's disk does not last on {passing}, and with it would go what was declared, published and read. "
                f"Give `state` {LASTS}, such as a mounted volume, and `registry` a PostgreSQL database."
            )
            raise ConfigurationError.of("state", message)
        return Path(home).expanduser().absolute() / FOLDER / self.name

    def _registry_url(self, environ: Mapping[str, str]) -> str | None:
        if self.registry_variable is None:
            return None
        url = environ.get(self.registry_variable, "").strip()
        if not url:
            message = f"The environment variable {self.registry_variable} is not set: it must hold the registry's URL."
            raise ConfigurationError.of("registry.url_env", message)
        return url


@contextmanager
def reading_tables(folder: Path) -> Iterator[None]:
    """Wait until no other process reads the tables of the same component, and keep others waiting in the block."""
    make_folder(folder)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
