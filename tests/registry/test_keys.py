"""API keys: shown once, kept as digests, revocable."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.errors import ConfigurationError, Conflict, KeyExpired, NotFound
from experiment_pipeline.registry.keys import LONGEST, TOKEN
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, MINUTE, NOW

SECOND = timedelta(seconds=1)


def test_create__token__opens_its_key_and_is_kept_nowhere(registry: Registry) -> None:
    key, token = registry.keys.create("production", Scope.READ, "dashboard", actor=ACTOR, now=NOW)
    assert TOKEN.fullmatch(token)
    assert registry.keys.list() == [key]
    assert registry.keys.authenticate(token, NOW) == key
    assert (key.environment_key, key.scope, key.name, key.created_at) == ("production", Scope.READ, "dashboard", NOW)
    with registry.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_keys").all()
    assert token.split("_", 2)[2] not in repr(rows)


def test_create__unknown_environment_or_no_name__is_refused(registry: Registry) -> None:
    with pytest.raises(NotFound):
        registry.keys.create("nowhere", Scope.READ, "x", actor=ACTOR, now=NOW)
    with pytest.raises(ConfigurationError):
        registry.keys.create("production", Scope.READ, "", actor=ACTOR, now=NOW)


def test_authenticate__anything_else__opens_nothing(registry: Registry) -> None:
    key, token = registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW)
    for wrong in ("", "xp_", token[:-1], token + "A", f"xp_{key.prefix}_{'A' * 43}", token.upper(), "\x00", "é"):
        assert registry.keys.authenticate(wrong, NOW) is None


def test_authenticate__revoked__opens_nothing_for_good(registry: Registry) -> None:
    key, token = registry.keys.create("production", Scope.ADMIN, "x", actor=ACTOR, now=NOW)
    revoked = registry.keys.revoke(key.prefix, actor=ACTOR, now=NOW + MINUTE)
    assert revoked.revoked_at == NOW + MINUTE
    assert registry.keys.revoke(key.prefix, actor=ACTOR, now=NOW + 2 * MINUTE) == revoked
    assert registry.keys.authenticate(token, NOW) is None
    log = registry.audit.list("production", subject=f"key:{key.prefix}")[::-1]
    assert [line.action for line in log] == ["create", "revoke"]
    with pytest.raises(NotFound):
        registry.keys.revoke("unknown", actor=ACTOR, now=NOW)


def test_authenticate__expired__opens_nothing_and_tells_its_holder(registry: Registry) -> None:
    key, token = registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW, valid_for=MINUTE)
    assert key.expires_at == NOW + MINUTE
    assert registry.keys.authenticate(token, NOW + MINUTE - SECOND) == key
    with pytest.raises(KeyExpired, match="This API key expired at 2026"):
        registry.keys.authenticate(token, NOW + MINUTE)
    assert registry.keys.authenticate(f"xp_{key.prefix}_{'A' * 43}", NOW + MINUTE) is None, (
        "whoever guesses learns nothing"
    )


def test_rotate__both_keys__open_the_same_until_the_old_one_expires(registry: Registry) -> None:
    first, token = registry.keys.create("production", Scope.REFRESH, "x", actor=ACTOR, now=NOW, valid_for=60 * MINUTE)
    at = NOW + 10 * MINUTE
    old, new, newer = registry.keys.rotate(first.prefix, overlap=5 * MINUTE, actor=ACTOR, now=at)
    assert (old.id, old.expires_at) == (first.id, at + 5 * MINUTE)
    assert (new.environment_key, new.scope, new.name, new.expires_at) == (
        "production",
        Scope.REFRESH,
        "x",
        at + 60 * MINUTE,
    )
    opened = [registry.keys.authenticate(each, at + 4 * MINUTE) for each in (token, newer)]
    assert [each and each.id for each in opened] == [first.id, new.id]
    with pytest.raises(KeyExpired):
        registry.keys.authenticate(token, at + 5 * MINUTE)
    log = registry.audit.list("production", subject=f"key:{first.prefix}")[::-1]
    assert [line.action for line in log] == ["create", "rotate"]


def test_rotate__keeps_an_earlier_expiry_and_a_key_for_ever_stays_one(registry: Registry) -> None:
    short, _ = registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW, valid_for=MINUTE)
    old, _, _ = registry.keys.rotate(short.prefix, overlap=5 * MINUTE, actor=ACTOR, now=NOW)
    assert old.expires_at == NOW + MINUTE
    lasting, _ = registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW)
    old, new, _ = registry.keys.rotate(lasting.prefix, overlap=MINUTE, actor=ACTOR, now=NOW)
    assert (old.expires_at, new.expires_at) == (NOW + MINUTE, None)


def test_rotate__of_a_key_that_opens_nothing__is_refused(registry: Registry) -> None:
    revoked, _ = registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW)
    registry.keys.revoke(revoked.prefix, actor=ACTOR, now=NOW)
    expired, _ = registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW, valid_for=MINUTE)
    for key, why in ((revoked, "revoked"), (expired, "expired")):
        with pytest.raises(Conflict, match=f"Key {key.prefix} is {why}: create a new one."):
            registry.keys.rotate(key.prefix, overlap=MINUTE, actor=ACTOR, now=NOW + MINUTE)
    with pytest.raises(NotFound):
        registry.keys.rotate("unknown", overlap=MINUTE, actor=ACTOR, now=NOW)


@pytest.mark.parametrize("duration", [0 * MINUTE, -MINUTE, LONGEST + MINUTE])
def test_durations__of_keys__are_bounded(registry: Registry, duration: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="valid_for: Must be longer than 0 and at most 36,500 days"):
        registry.keys.create("production", Scope.READ, "x", actor=ACTOR, now=NOW, valid_for=duration)
    with pytest.raises(ConfigurationError, match="overlap: Must be longer than 0"):
        registry.keys.rotate("unknown", overlap=duration, actor=ACTOR, now=NOW)
