"""The installation: the registry remembers which lake it belongs to (rule E7)."""

import pytest
from sqlalchemy import select

from experiment_pipeline.domain.batches import Installation
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.tables import audit_log
from tests.registry.conftest import NOW


def test_bind__first_time__makes_an_id_and_keeps_it(registry: Registry) -> None:
    assert registry.installation.get() is None
    identity = registry.installation.bind("lake-1", NOW)
    assert registry.installation.get() == Installation(identity, "lake-1")
    assert registry.installation.bind("lake-1", NOW, identity="another") == identity
    assert registry.batches.state().installation == Installation(identity, "lake-1")


def test_bind__to_another_lake__is_refused_unless_it_replaces_the_known_one(registry: Registry) -> None:
    identity = registry.installation.bind("lake-1", NOW, identity="ours")
    with pytest.raises(Conflict, match="belongs to another lake, lake-1"):
        registry.installation.bind("lake-2", NOW)
    with pytest.raises(Conflict, match="belongs to another lake, lake-1"):
        registry.installation.bind("lake-2", NOW, replaces="lake-3")
    assert registry.installation.bind("lake-2", NOW, replaces="lake-1") == identity == "ours"
    assert registry.installation.get() == Installation("ours", "lake-2")


def test_rebind__from_another_lake_than_the_known_one__changes_and_records_nothing(registry: Registry) -> None:
    registry.installation.bind("lake-1", NOW, identity="ours")
    with pytest.raises(Conflict, match="belongs to another lake, lake-1"):
        registry.repairs.rebind("lake-3", "lake-2", actor="alice", now=NOW)
    with registry.engine.connect() as connection:
        assert connection.execute(select(audit_log).where(audit_log.c.action == "bind")).all() == []
    registry.repairs.rebind("lake-1", "lake-2", actor="alice", now=NOW)
    assert registry.installation.get() == Installation("ours", "lake-2")
    with registry.engine.connect() as connection:
        (line,) = connection.execute(select(audit_log).where(audit_log.c.action == "bind")).all()
    assert (line.actor, line.subject, line.before, line.after) == (
        "alice", "registry", {"lake": "lake-1"}, {"lake": "lake-2"},
    )  # fmt: skip
