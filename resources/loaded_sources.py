"""The sources that the code location is loaded with: the registry is read once, when a code server starts (rule D0).

Dagster loads the definitions again in the process of every run. There they are what they were in the code server, which
hands them on: a run whose definitions are others than those it was planned with fails.
"""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Self

import structlog
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from sqlalchemy import make_url

from experiment_pipeline.domain.sources import Source, from_declared, to_declared
from experiment_pipeline.errors import ExperimentPipelineError
from experiment_pipeline.registry.engine import sqlite_file
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.wait_limits import WaitLimits
from experiment_pipeline.settings import Settings

log = structlog.get_logger(__name__)

STATE = "experiment_pipeline/sources"
LIMITS = WaitLimits(lock=5, answer=5)  # seconds: without its sources, a code location can do everything else
RELOAD = "Reload the code location, so that Dagster has an asset for every source as it is declared now."


@dataclass(frozen=True, slots=True)
class LoadedSources:
    """The sources that have assets.

    Attributes:
        sources: as they were declared when the code location was loaded.
        unread: why the registry could not be read then; None where it could, or there was none yet.
    """

    sources: tuple[Source, ...] = ()
    unread: str | None = None

    @classmethod
    def of_process(cls, settings: Settings) -> Self:
        """Return what the code server was loaded with in a run's process, and what the registry has everywhere else."""
        context = DefinitionsLoadContext.get()
        if context.load_type is DefinitionsLoadType.RECONSTRUCTION and STATE in context.reconstruction_metadata:
            return cls.from_state(context.reconstruction_metadata[STATE])
        return cls.read(settings)

    @classmethod
    def read(cls, settings: Settings) -> Self:
        """Return the sources of the registry; none where it cannot be read or does not exist yet."""
        try:
            file = sqlite_file(make_url(settings.database_url)) if settings.database_url.startswith("sqlite") else None
            if file is not None and not file.exists():
                return cls()
            with closing(Registry.open(settings.database_url, LIMITS)) as registry:
                return cls(tuple(registry.sources.list()))
        except Exception as error:  # noqa: BLE001 - the assets of the pipeline itself load without it
            # The text of an error that is not ours may hold the registry's URL.
            reason = str(error) if isinstance(error, ExperimentPipelineError) else type(error).__name__
            log.warning("sources.not_loaded", reason=reason)
            return cls(unread=reason)

    @classmethod
    def from_state(cls, state: str) -> Self:
        """Return the sources of their text."""
        read = json.loads(state)
        placed = ("key", "environment_key", "version")
        return cls(
            tuple(
                Source(**{name: each[name] for name in placed}, **from_declared(each["declared"]))
                for each in read["sources"]
            ),
            read["unread"],
        )

    @property
    def state(self) -> dict[str, str]:
        """The text of the sources, for the processes of runs, by the key that Dagster keeps it under."""
        sources = [
            {
                "key": each.key,
                "environment_key": each.environment_key,
                "version": each.version,
                "declared": to_declared(each),
            }
            for each in self.sources
        ]
        return {STATE: json.dumps({"sources": sources, "unread": self.unread})}

    def difference(self, declared: Sequence[Source]) -> str | None:
        """Return how the sources that are declared now differ from the assets; None where they do not.

        Args:
            declared: every source of the registry. Queries and mappings are no part of an asset: each pull reads them.
        """
        now, loaded = ({each.key: _of_asset(each) for each in every} for every in (declared, self.sources))
        told = {
            "has no asset": sorted(now.keys() - loaded.keys()),
            "is declared no more": sorted(loaded.keys() - now.keys()),
            "has another interval or upstream": sorted(key for key in now.keys() & loaded if now[key] != loaded[key]),
        }
        found = [f"{what}: {', '.join(keys)}" for what, keys in told.items() if keys]
        if not found:
            return None
        why = f" The registry could not be read when it was loaded: {self.unread}" if self.unread else ""
        return f"A source {'; '.join(found)}. {RELOAD}{why}"


def _of_asset(source: Source) -> tuple[object, ...]:
    return source.environment_key, source.every, source.upstream


NO_SOURCES = LoadedSources()
