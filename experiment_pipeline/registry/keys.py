"""API keys in the registry. Only a digest of a token is kept; the token is shown once."""

import hmac
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection, RowMapping, insert, select, update

from experiment_pipeline.domain.api_keys import ApiKey, Scope
from experiment_pipeline.domain.drafts import check_name
from experiment_pipeline.errors import NotFound, RegistryUnavailable
from experiment_pipeline.registry import audit, environments
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import api_keys, has_passed
from experiment_pipeline.times import is_within

TOKEN = re.compile(r"xp_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
USE_RECORDED_EVERY = timedelta(minutes=1)  # writing at every request would make requests wait for each other


@dataclass(frozen=True, slots=True)
class Keys:
    """Store of the API keys."""

    database: Database
    _use_recorded: dict[int, datetime] = field(default_factory=dict, repr=False, compare=False)  # or tried, by key

    def create(self, environment_key: str, scope: Scope, name: str, *, actor: str, now: datetime) -> tuple[ApiKey, str]:
        """Create a key, and return it with its token, which cannot be shown again.

        Raises:
            ConfigurationError: the name is not valid.
            NotFound: no environment has this key.
        """
        check_name(name)
        prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with writing(self.database) as connection:
            environments.require(connection, environment_key)
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

    def list(self, environment_key: str | None = None) -> Sequence[ApiKey]:
        """Return the keys of one environment or of all, revoked ones too, oldest first."""
        statement = select(api_keys).order_by(api_keys.c.id)
        if environment_key is not None:
            statement = statement.where(api_keys.c.environment_key == environment_key)
        with reading(self.database) as connection:
            return [_decode(row) for row in connection.execute(statement).mappings()]

    def revoke(self, prefix: str, *, actor: str, now: datetime) -> ApiKey:
        """Revoke a key permanently; revoking it again changes nothing.

        Raises:
            NotFound: no key has this prefix.
        """
        with writing(self.database) as connection:
            before = _find(connection, prefix)
            if before.revoked_at is not None:
                return before
            connection.execute(update(api_keys).where(api_keys.c.id == before.id).values(revoked_at=now))
            after = _find(connection, prefix)
            _audit(connection, "revoke", before, after, actor=actor, now=now)
        return after

    def authenticate(self, token: str, now: datetime) -> ApiKey | None:
        """Return the key of a token; None for a malformed, unknown or revoked one.

        That the key was used is recorded to the minute, in a transaction of its own. While the database takes no
        changes, a key opens what it did: recording is tried once a minute.
        """
        with reading(self.database) as connection:
            key = _authenticate(connection, token)
        if key is not None and not any(
            last is not None and is_within(last, USE_RECORDED_EVERY, now)
            for last in (key.last_used_at, self._use_recorded.get(key.id))
        ):
            self._use_recorded[key.id] = now
            with suppress(RegistryUnavailable), writing(self.database) as connection:
                _record_use(connection, key, now)
        return key


def _authenticate(connection: Connection, token: str) -> ApiKey | None:
    """Compare digests for a malformed or unknown token as well: its answer takes no less time."""
    match = TOKEN.fullmatch(token)
    prefix, secret = match.groups() if match else ("", "")
    row = (
        connection.execute(select(api_keys).where(api_keys.c.prefix == prefix, api_keys.c.revoked_at.is_(None)))
        .mappings()
        .one_or_none()
    )
    expected = row["digest"] if row is not None else _digest("no key")
    return _decode(row) if hmac.compare_digest(_digest(secret), expected) and row is not None else None


def _record_use(connection: Connection, key: ApiKey, now: datetime) -> None:
    last = api_keys.c.last_used_at
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key.id, has_passed(last, USE_RECORDED_EVERY, now))
        .values(last_used_at=now)
    )


def _digest(secret: str) -> str:
    """Return the digest of a secret of 256 random bits: a slow hash would protect it no better."""
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
