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
from experiment_pipeline.errors import ConfigurationError, Conflict, KeyExpired, NotFound, RegistryUnavailable
from experiment_pipeline.registry import audit, environments
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import api_keys, has_passed
from experiment_pipeline.times import is_within, iso_utc

TOKEN = re.compile(r"xp_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
LONGEST = timedelta(days=36_500)
USE_RECORDED_EVERY = timedelta(minutes=1)  # writing at every request would make requests wait for each other


@dataclass(frozen=True, slots=True)
class Keys:
    """Store of the API keys."""

    database: Database
    _use_recorded: dict[int, datetime] = field(default_factory=dict, repr=False, compare=False)  # or tried, by key

    def create(
        self,
        environment_key: str,
        scope: Scope,
        name: str,
        *,
        actor: str,
        now: datetime,
        valid_for: timedelta | None = None,
    ) -> tuple[ApiKey, str]:
        """Create a key, and return it with its token, which cannot be shown again.

        Args:
            environment_key: of the environment that it opens.
            scope: what it allows.
            name: who or what will use it.
            actor: for the audit log.
            now: UTC.
            valid_for: how long it opens anything; None for ever.

        Raises:
            ConfigurationError: the name or the duration is not valid.
            NotFound: no environment has this key.
        """
        check_name(name)
        with writing(self.database) as connection:
            environments.require(connection, environment_key)
            expires_at = None if valid_for is None else _later("valid_for", now, valid_for)
            return _create(connection, environment_key, scope, name, actor=actor, now=now, expires_at=expires_at)

    def rotate(self, prefix: str, *, overlap: timedelta, actor: str, now: datetime) -> tuple[ApiKey, ApiKey, str]:
        """Replace a key: both open the same until the old one expires.

        The new one is valid for as long as the old one was made for.

        Args:
            prefix: of the old key.
            overlap: how long the old one still opens anything; it keeps an expiry that is earlier.
            actor: for the audit log.
            now: UTC.

        Returns:
            The old key, the new one, and the new one's token, which cannot be shown again.

        Raises:
            ConfigurationError: the duration is not valid.
            Conflict: the key is revoked or expired.
            NotFound: no key has this prefix.
        """
        until = _later("overlap", now, overlap)
        with writing(self.database) as connection:
            before = _find(connection, prefix)
            if before.revoked_at is not None or before.is_expired(now):
                over = "revoked" if before.revoked_at is not None else "expired"
                raise Conflict(f"Key {prefix} is {over}: create a new one.")
            lifetime = None if before.expires_at is None else before.expires_at - before.created_at
            connection.execute(
                update(api_keys)
                .where(api_keys.c.id == before.id)
                .values(expires_at=min(until, before.expires_at or until))
            )
            old = _find(connection, prefix)
            _audit(connection, "rotate", before, old, actor=actor, now=now)
            new, token = _create(
                connection,
                before.environment_key,
                before.scope,
                before.name,
                actor=actor,
                now=now,
                expires_at=None if lifetime is None else now + lifetime,
            )
        return old, new, token

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

        Raises:
            KeyExpired: its time is over.

        That the key was used is recorded to the minute, in a transaction of its own. While the database takes no
        changes, a key opens what it did: recording is tried once a minute.
        """
        with reading(self.database) as connection:
            key = _authenticate(connection, token)
        if key is not None and key.is_expired(now):
            raise KeyExpired(f"This API key expired at {iso_utc(key.expires_at or now)}. Ask for a new one.")
        if key is not None and not any(
            last is not None and is_within(last, USE_RECORDED_EVERY, now)
            for last in (key.last_used_at, self._use_recorded.get(key.id))
        ):
            self._use_recorded[key.id] = now
            with suppress(RegistryUnavailable), writing(self.database) as connection:
                _record_use(connection, key, now)
        return key


def _later(field: str, now: datetime, duration: timedelta) -> datetime:
    if not timedelta(0) < duration <= LONGEST:
        raise ConfigurationError.of(field, f"Must be longer than 0 and at most {LONGEST.days:,} days.")
    return now + duration


def _create(
    connection: Connection,
    environment_key: str,
    scope: Scope,
    name: str,
    *,
    actor: str,
    now: datetime,
    expires_at: datetime | None,
) -> tuple[ApiKey, str]:
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    connection.execute(
        insert(api_keys).values(
            environment_key=environment_key,
            scope=scope.value,
            prefix=prefix,
            digest=_digest(secret),
            name=name,
            created_at=now,
            expires_at=expires_at,
        )
    )
    created = _find(connection, prefix)
    _audit(connection, "create", None, created, actor=actor, now=now)
    return created, f"xp_{prefix}_{secret}"


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
        expires_at=row["expires_at"],
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
