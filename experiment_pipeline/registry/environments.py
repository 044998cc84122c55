"""Environments in the registry."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.drafts import check_environment
from experiment_pipeline.domain.events import ENVIRONMENT_KEY
from experiment_pipeline.errors import Conflict, NotFound
from experiment_pipeline.registry import audit, tables


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a feature is evaluated, e.g. `production`. Its key is always text (rule E8)."""

    key: str
    name: str
    created_at: datetime


def select_all(connection: Connection) -> list[Environment]:
    """Every environment, by key."""
    rows = connection.execute(select(tables.environments).order_by(tables.environments.c.key)).mappings()
    return [Environment(key=row["key"], name=row["name"], created_at=row["created_at"]) for row in rows]


def exists(connection: Connection, key: str) -> bool:
    """Whether the registry knows the environment."""
    if not ENVIRONMENT_KEY.fullmatch(key):
        return False
    found = connection.scalar(select(tables.environments.c.key).where(tables.environments.c.key == key))
    return found is not None


def require(connection: Connection, key: str) -> None:
    """Raise NotFound unless the environment exists."""
    if not exists(connection, key):
        raise NotFound(f"No environment '{key}'.")


def find(connection: Connection, key: str) -> Environment:
    """One environment. Raises NotFound."""
    require(connection, key)
    table = tables.environments
    row = connection.execute(select(table).where(table.c.key == key)).mappings().one()
    return Environment(key=row["key"], name=row["name"], created_at=row["created_at"])


def create(connection: Connection, key: str, name: str, *, actor: str, now: datetime) -> Environment:
    """Add an environment. Raises ConfigurationError (rule E8) or Conflict."""
    check_environment(key, name)
    created = Environment(key=key, name=name, created_at=now)
    try:
        with connection.begin_nested():
            connection.execute(insert(tables.environments).values(key=key, name=name, created_at=now))
    except IntegrityError:
        raise Conflict(f"An environment '{key}' already exists.") from None
    _audit(connection, "create", None, created, actor=actor, now=now)
    return created


def rename(connection: Connection, key: str, name: str, *, actor: str, now: datetime) -> Environment:
    """Change an environment's name."""
    check_environment(key, name)
    before = find(connection, key)
    after = Environment(key=key, name=name, created_at=before.created_at)
    connection.execute(update(tables.environments).where(tables.environments.c.key == key).values(name=name))
    _audit(connection, "change", before, after, actor=actor, now=now)
    return after


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
