"""Connections, sources and their ranges in the registry, on SQLite and PostgreSQL (rules D0, D2, D5)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from experiment_pipeline.domain.row_mapping import FieldSource
from experiment_pipeline.domain.source_ranges import SourceFile, SourceRange
from experiment_pipeline.domain.sources import ConnectionDraft, SourceDraft, from_declared
from experiment_pipeline.errors import ConfigurationError, Conflict, NotFound
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.source_tables import source_versions
from tests.domain.test_sources import OF_DATABASE, OF_FILES, ORDERS
from tests.registry.conftest import ACTOR, MINUTE, NOW

SHOP = ConnectionDraft(url_env="SHOP_DATABASE_URL")
ORDERS_FILE = SourceFile("/exports/orders.csv", 10, NOW)


def declare(registry: Registry, draft: SourceDraft, key: str = "orders") -> int:
    """Declare a source of production, and return its version."""
    return registry.sources.declare(key, "production", draft, actor=ACTOR, now=NOW).version


def first(**changes: object) -> SourceRange:
    """The first range of the source `orders`."""
    planned = SourceRange("orders", 1, 1, "v1-1-abc", NOW, files=(ORDERS_FILE,))
    return replace(planned, **changes)  # type: ignore[arg-type]


def test_declare__connection_and_source__are_found_as_they_were_declared(registry: Registry) -> None:
    registry.connections.declare("shop", SHOP, actor=ACTOR, now=NOW)
    declare(registry, OF_DATABASE)
    found = registry.sources.find("orders")
    assert (found.key, found.environment_key, found.version) == ("orders", "production", 1)
    assert (found.cursor, found.mappings, found.every) == (OF_DATABASE.cursor, (ORDERS,), OF_DATABASE.every)
    assert registry.connections.find("shop").url_env == "SHOP_DATABASE_URL"
    assert [each.key for each in registry.sources.list("production")] == ["orders"]


def test_declare__change_of_the_mapping__is_a_new_version_and_the_old_one_stays(registry: Registry) -> None:
    declare(registry, OF_FILES)
    renamed = replace(ORDERS, event=FieldSource(constant="bought"))
    assert declare(registry, replace(OF_FILES, every=timedelta(hours=1))) == 1
    assert declare(registry, replace(OF_FILES, mappings=(renamed,))) == 2
    assert declare(registry, replace(OF_FILES, mappings=(renamed,))) == 2
    with registry.engine.connect() as connection:
        versions = connection.execute(select(source_versions.c.declared).order_by(source_versions.c.version)).scalars()
        assert [from_declared(each)["mappings"] for each in versions] == [(ORDERS,), (renamed,)]
    actions = [each.action for each in registry.audit.list(subject="source:orders")]
    assert actions == ["change", "change", "create"]


def test_declare__unknown_connection__names_the_one_that_was_probably_meant(registry: Registry) -> None:
    registry.connections.declare("shops", SHOP, actor=ACTOR, now=NOW)
    with pytest.raises(ConfigurationError, match=r"connection: No connection 'shop'. Did you mean 'shops'\?"):
        declare(registry, OF_DATABASE)
    with pytest.raises(NotFound):
        registry.sources.find("orders")


def test_declare__source_of_another_environment__is_a_conflict(registry: Registry) -> None:
    registry.environments.create("staging", "Staging", actor=ACTOR, now=NOW)
    declare(registry, OF_FILES)
    with pytest.raises(Conflict, match="is of the environment 'production'"):
        registry.sources.declare("orders", "staging", OF_FILES, actor=ACTOR, now=NOW)


def test_find__unknown__lists_what_there_is(registry: Registry) -> None:
    with pytest.raises(NotFound, match=r"No source 'orders'. There is none yet: declare it under sources."):
        registry.sources.find("orders")
    declare(registry, OF_FILES, "assignments")
    with pytest.raises(NotFound, match=r"There are assignments\."):
        registry.sources.find("orders")


def test_ranges__planned_and_closed__are_listed_with_their_files(registry: Registry) -> None:
    declare(registry, OF_FILES)
    assert registry.source_ranges.open_range("orders") is None
    registry.source_ranges.plan(first())
    assert registry.source_ranges.open_range("orders") == first()
    assert registry.source_ranges.read_files("orders") == []
    registry.source_ranges.close("orders", 1, rows=3, records=6, now=NOW + MINUTE)
    assert registry.source_ranges.open_range("orders") is None
    assert registry.source_ranges.list("orders") == [first(landed_at=NOW + MINUTE, rows=3, records=6)]
    assert registry.source_ranges.next_number("orders") == 2


def test_ranges__file_that_was_read_twice__is_known_as_it_was_last(registry: Registry) -> None:
    declare(registry, OF_FILES)
    larger = replace(ORDERS_FILE, bytes=20)
    for number, file in enumerate((ORDERS_FILE, larger), 1):
        registry.source_ranges.plan(first(number=number, files=(file,)))
        registry.source_ranges.close("orders", number, rows=1, records=1, now=NOW)
    assert registry.source_ranges.read_files("orders") == [larger]


def test_ranges__second_while_one_is_open__is_a_conflict(registry: Registry) -> None:
    declare(registry, OF_FILES)
    registry.source_ranges.plan(first())
    for number in (1, 2):
        with pytest.raises(Conflict):
            registry.source_ranges.plan(first(number=number))


def test_ranges__withdrawn__is_forgotten_and_its_number_free(registry: Registry) -> None:
    declare(registry, OF_FILES)
    registry.source_ranges.plan(first())
    registry.source_ranges.withdraw("orders", 1)
    assert registry.source_ranges.list("orders") == []
    registry.source_ranges.plan(first())
    registry.source_ranges.close("orders", 1, rows=1, records=1, now=NOW)
    with pytest.raises(Conflict, match="is not open"):
        registry.source_ranges.withdraw("orders", 1)
    with pytest.raises(Conflict, match="is not open"):
        registry.source_ranges.close("orders", 1, rows=1, records=1, now=NOW)
