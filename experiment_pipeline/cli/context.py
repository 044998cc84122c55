"""What every command works with: settings, the registry, a console, and who is at the keyboard."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console

from experiment_pipeline.settings import Settings

if TYPE_CHECKING:  # SQLAlchemy and Alembic take their time: `--help` does without
    from experiment_pipeline.registry.repository import Registry


@dataclass(frozen=True)
class Context:
    """Handed to every command by click."""

    settings: Settings
    console: Console = field(default_factory=Console)

    @contextmanager
    def registry(self) -> Iterator["Registry"]:
        """The registry, its schema up to date."""
        from experiment_pipeline.registry.repository import Registry

        registry = Registry.open(self.settings.database_url)
        try:
            yield registry
        finally:
            registry.close()

    @property
    def actor(self) -> str:
        """For the audit log (rule L5)."""
        return f"cli:{getpass.getuser()}"[:255]

    @property
    def now(self) -> datetime:
        """This moment, UTC."""
        return datetime.now(UTC)
