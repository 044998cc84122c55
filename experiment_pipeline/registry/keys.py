"""API keys: who may do what in one environment. Only a digest of a token is kept; the token is shown once."""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from experiment_pipeline.domain.drafts import check_name
from experiment_pipeline.errors import NotFound
from experiment_pipeline.registry import audit, environments
from experiment_pipeline.registry.tables import api_keys

TOKEN = re.compile(r"xp_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
USE_RECORDED_EVERY = timedelta(minutes=1)  # a write on every read would make readers wait for each other


class Scope(StrEnum):
    """What a key may do, each scope more than the one before."""

    READ = "read"
    REFRESH = "refresh"
    ADMIN = "admin"

    def allows(self, needed: "Scope") -> bool:
        """Whether this scope includes the needed one."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: its prefix tells it from others and opens nothing."""

    id: int
    environment_key: str
    scope: Scope
    prefix: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def create(
    connection: Connection, environment_key: str, scope: Scope, name: str, *, actor: str, now: datetime
) -> tuple[ApiKey, str]:
    """A new key and its token, which nobody can read again. Raises NotFound or ConfigurationError."""
    check_name(name)
    environments.require(connection, environment_key)
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    connection.execute(
        insert(api_keys).values(
            environment_key=environment_key,
            scope=scope.value,
            prefix=prefix,
            digest=_digest(secret),
            name=name,
            created_at=now,
        )
    )
    created = _find(connection, prefix)
    _audit(connection, "create", None, created, actor=actor, now=now)
    return created, f"xp_{prefix}_{secret}"


def select_all(connection: Connection, environment_key: str | None = None) -> list[ApiKey]:
    """Keys, revoked ones too, oldest first."""
    statement = select(api_keys).order_by(api_keys.c.id)
    if environment_key is not None:
        statement = statement.where(api_keys.c.environment_key == environment_key)
    return [_decode(row) for row in connection.execute(statement).mappings()]


def revoke(connection: Connection, prefix: str, *, actor: str, now: datetime) -> ApiKey:
    """Close a key for good; once is enough. Raises NotFound."""
    before = _find(connection, prefix)
    if before.revoked_at is not None:
        return before
    connection.execute(update(api_keys).where(api_keys.c.id == before.id).values(revoked_at=now))
    after = _find(connection, prefix)
    _audit(connection, "revoke", before, after, actor=actor, now=now)
    return after


def authenticate(connection: Connection, token: str) -> ApiKey | None:
    """The key of a token; None for a malformed, unknown or revoked one, after the same comparison."""
    match = TOKEN.fullmatch(token)
    prefix, secret = match.groups() if match else ("", "")
    row = (
        connection.execute(select(api_keys).where(api_keys.c.prefix == prefix, api_keys.c.revoked_at.is_(None)))
        .mappings()
        .one_or_none()
    )
    expected = row["digest"] if row is not None else _digest("no key")
    return _decode(row) if hmac.compare_digest(_digest(secret), expected) and row is not None else None


def record_use(connection: Connection, key: ApiKey, now: datetime) -> None:
    """Remember when a key was last used, to the minute."""
    last = api_keys.c.last_used_at
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key.id, or_(last.is_(None), last <= now - USE_RECORDED_EVERY))
        .values(last_used_at=now)
    )


def use_is_stale(key: ApiKey, now: datetime) -> bool:
    """Whether the recorded use is older than the precision that is kept."""
    return key.last_used_at is None or key.last_used_at <= now - USE_RECORDED_EVERY


def _digest(secret: str) -> str:
    """Of 256 random bits: nothing that a slow hash would have to protect."""
    return sha256(secret.encode()).hexdigest()


def _find(connection: Connection, prefix: str) -> ApiKey:
    row = connection.execute(select(api_keys).where(api_keys.c.prefix == prefix)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"No API key with the prefix '{prefix}'.")
    return _decode(row)


def _decode(row: RowMapping) -> ApiKey:
    return ApiKey(
        id=row["id"],
        environment_key=row["environment_key"],
        scope=Scope(row["scope"]),
        prefix=row["prefix"],
        name=row["name"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )


def _audit(
    connection: Connection, action: str, before: ApiKey | None, after: ApiKey, *, actor: str, now: datetime
) -> None:
    audit.record(
        connection,
        at=now,
        actor=actor,
        environment_key=after.environment_key,
        subject=f"key:{after.prefix}",
        action=action,
        before=before,
        after=after,
    )
