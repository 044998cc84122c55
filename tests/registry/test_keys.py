"""API keys: shown once, kept as digests, revocable."""

import pytest

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.registry.keys import TOKEN
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, MINUTE, NOW


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
