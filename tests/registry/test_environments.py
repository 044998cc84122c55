"""Environments in the registry (rule E8)."""

import pytest

from experiment_pipeline.domain.environments import Environment
from experiment_pipeline.errors import ConfigurationError, Conflict, NotFound
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, NOW


def test_create__several__are_listed_by_key(registry: Registry) -> None:
    created = registry.environments.create("123", "Numbers", actor=ACTOR, now=NOW + HOUR)
    assert created == Environment("123", "Numbers", NOW + HOUR)
    assert registry.environments.list() == [created, Environment("production", "Production", NOW)]
    assert registry.environments.get("123") == created


def test_create__key_that_is_taken__is_a_conflict_and_changes_nothing(registry: Registry) -> None:
    with pytest.raises(Conflict, match="'production' already exists"):
        registry.environments.create("production", "Other", actor=ACTOR, now=NOW)
    assert registry.environments.get("production").name == "Production"
    assert registry.audit.count("production") == 1


@pytest.mark.parametrize("key", ["", "a b", "ü", "a/b", "x" * 256, "production\n"])
def test_create__key_that_is_none__is_refused_and_not_found__e8(registry: Registry, key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        registry.environments.create(key, "Name", actor=ACTOR, now=NOW)
    assert list(refused.value.errors) == ["key"]
    assert not registry.environments.exists(key)
    with pytest.raises(NotFound):
        registry.environments.get(key)


def test_rename__known_and_unknown__changes_the_name_alone(registry: Registry) -> None:
    renamed = registry.environments.rename("production", "Live", actor="ann", now=NOW + HOUR)
    assert renamed == registry.environments.get("production") == Environment("production", "Live", NOW)
    change = registry.audit.list("production", actor="ann")[0]
    assert (change.action, change.subject) == ("change", "environment:production")
    with pytest.raises(NotFound):
        registry.environments.rename("nowhere", "Live", actor="ann", now=NOW)
