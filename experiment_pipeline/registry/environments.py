"""Environments in the registry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.drafts import check_environment
from experiment_pipeline.domain.environments import EMBEDDED, Environment
from experiment_pipeline.domain.events import ENVIRONMENT_KEY
from experiment_pipeline.domain.texts import printable, suggestion
from experiment_pipeline.errors import ConfigurationError, Conflict, NotFound
from experiment_pipeline.registry import audit
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.source_tables import connections
from experiment_pipeline.registry.tables import environments


@dataclass(frozen=True, slots=True)
class Environments:
    """Store of the environments."""

    database: Database

    def list(self) -> Sequence[Environment]:
        """Return every environment, by key."""
        with reading(self.database) as connection:
            rows = connection.execute(select(environments).order_by(environments.c.key)).mappings()
            return [_decode(row) for row in rows]

    def only_or_named(self, given: str | None, *, field: str, without_any: str) -> str:
        """Return the key of the environment that is named, or of the only one that there is.

        Args:
            given: its key; None for the only one.
            field: that names it, for the message.
            without_any: what the message says where there is no environment.

        Raises:
            ConfigurationError: none is named, and there is not exactly one.
            NotFound: no environment has this key; suggests a similar one.
        """
        known = [environment.key for environment in self.list()]
        if given is None and len(known) == 1:
            return known[0]
        if given is None:
            raise ConfigurationError.of(field, f"Name one of {', '.join(known)}." if known else without_any)
        if given not in known:
            raise NotFound(f"No environment '{given}'.{suggestion(given, known)}")
        return given

    def exists(self, key: str) -> bool:
        """Return whether the registry has an environment of this key."""
        if not ENVIRONMENT_KEY.fullmatch(key):
            return False
        with reading(self.database) as connection:
            found = connection.scalar(select(environments.c.key).where(environments.c.key == key))
        return found is not None

    def get(self, key: str) -> Environment:
        """Return one environment.

        Raises:
            NotFound: no environment has this key.
        """
        with reading(self.database) as connection:
            require(connection, key)
            row = connection.execute(select(environments).where(environments.c.key == key)).mappings().one()
            return _decode(row)

    def create(self, key: str, name: str, *, actor: str, now: datetime) -> Environment:
        """Add an environment.

        Raises:
            ConfigurationError: the key breaks rule E8, or the name is not valid.
            Conflict: an environment has this key already.
        """
        check_environment(key, name)
        created = Environment(key=key, name=name, created_at=now)
        with writing(self.database) as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(environments).values(key=key, name=name, created_at=now))
            except IntegrityError:
                raise Conflict(f"An environment '{key}' already exists.") from None
            _audit(connection, "create", None, created, actor=actor, now=now)
        return created

    def rename(self, key: str, name: str, *, actor: str, now: datetime) -> Environment:
        """Change an environment's name.

        Raises:
            ConfigurationError: the name is not valid.
            NotFound: no environment has this key.
        """
        check_environment(key, name)
        with writing(self.database) as connection:
            before = Environments(connection).get(key)
            after = replace(before, name=name)
            connection.execute(update(environments).where(environments.c.key == key).values(name=name))
            _audit(connection, "change", before, after, actor=actor, now=now)
        return after

    def set_warehouse(self, key: str, warehouse: str, *, actor: str, now: datetime) -> Environment:
        """Set where an environment is analysed from now on (rule D0).

        Args:
            key: of the environment.
            warehouse: the key of a connection, or `duckdb`.
            actor: for the audit log.
            now: for the audit log.

        Raises:
            ConfigurationError: no connection has this key.
            NotFound: no environment has this key.
        """
        with writing(self.database) as connection:
            known = connection.scalars(select(connections.c.key).order_by(connections.c.key)).all()
            if warehouse not in (EMBEDDED, *known):
                allowed = f"Must be {EMBEDDED}, or one of connections."
                message = f"{allowed} There is none '{printable(warehouse)}'.{suggestion(warehouse, known)}"
                raise ConfigurationError.of("warehouse", message)
            before = Environments(connection).get(key)
            after = replace(before, warehouse=warehouse)
            if before != after:
                connection.execute(update(environments).where(environments.c.key == key).values(warehouse=warehouse))
                _audit(connection, "change", before, after, actor=actor, now=now)
        return after


def _decode(row: RowMapping) -> Environment:
    keep = None if row["keep_seconds"] is None else timedelta(seconds=row["keep_seconds"])
    return Environment(row["key"], row["name"], row["created_at"], row["warehouse"], keep)


def require(connection: Connection, key: str) -> None:
    """Raise NotFound unless the environment exists."""
    if not Environments(connection).exists(key):
        raise NotFound(f"No environment '{key}'.")


def _audit(
    connection: Connection,
    action: str,
    before: Environment | None,
    after: Environment,
    *,
    actor: str,
    now: datetime,
) -> None:
    audit.record(
        connection,
        at=now,
        actor=actor,
        environment_key=after.key,
        subject=f"environment:{after.key}",
        action=action,
        before=before,
        after=after,
    )
