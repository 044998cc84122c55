"""The API keys of a registry, each question and change in one transaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from experiment_pipeline.registry import keys
from experiment_pipeline.registry.engine import reading, writing
from experiment_pipeline.registry.keys import ApiKey, Scope


@dataclass(frozen=True, slots=True)
class Keyring:
    """Who may ask the HTTP API for what."""

    engine: Engine

    def create(self, environment_key: str, scope: Scope, name: str, *, actor: str, now: datetime) -> tuple[ApiKey, str]:
        """A new key and its token, which nobody can read again."""
        with writing(self.engine) as connection:
            return keys.create(connection, environment_key, scope, name, actor=actor, now=now)

    def all(self, environment_key: str | None = None) -> list[ApiKey]:
        """Keys, revoked ones too, oldest first."""
        with reading(self.engine) as connection:
            return keys.select_all(connection, environment_key)

    def revoke(self, prefix: str, *, actor: str, now: datetime) -> ApiKey:
        """Close a key for good."""
        with writing(self.engine) as connection:
            return keys.revoke(connection, prefix, actor=actor, now=now)

    def authenticate(self, token: str, now: datetime) -> ApiKey | None:
        """The key of a token, its use recorded to the minute; None for an unknown or revoked one."""
        with reading(self.engine) as connection:
            key = keys.authenticate(connection, token)
        if key is not None and keys.use_is_stale(key, now):
            with writing(self.engine) as connection:
                keys.record_use(connection, key, now)
        return key
