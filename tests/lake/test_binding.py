"""A registry that belongs to a wrong lake is bound to the right one, and never to one with other batches (rule E7)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from experiment_pipeline.errors import ConfigurationError, UnsoundLake
from experiment_pipeline.lake.binding import Binding, bind, plan_binding
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.soundness import require_sound, state_of
from experiment_pipeline.registry.tables import audit_log, installation
from tests.conftest import make_registry
from tests.lake.installations import Installation
from tests.lake.ledger import NOW, land, record


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    """Three batches."""
    installed = Installation(tmp_path / "here", make_registry(tmp_path / "registry.sqlite"))
    installed.fill(3)
    yield installed
    installed.registry.close()


@pytest.fixture
def wrong(here: Installation, tmp_path: Path) -> Iterator[Installation]:
    """A second data directory, which a repair with accepted losses has bound the registry to."""
    url = here.registry.engine.url.render_as_string(hide_password=False)
    other = Installation(tmp_path / "wrong", url)
    assert other.repair(1, 2, 3).restored == [1, 2, 3]
    yield other
    other.registry.close()


def plan(at: Installation) -> Binding:
    return plan_binding(at.lake.root, at.registry.batches, at.registry.repairs)


def bound(at: Installation, found: str) -> Binding:
    return bind(at.lake.root, at.registry.batches, at.registry.repairs, found, actor="alice", now=NOW)


def identity(at: Installation) -> str:
    return Snapshot.open(at.lake.root, EVENTS).identity


def test_bind__after_a_repair_in_the_wrong_data_directory__brings_the_right_lake_back(
    here: Installation, wrong: Installation
) -> None:
    whole = here.rows()
    with pytest.raises(UnsoundLake, match=r"not the one that the registry belongs to.*`registry bind`"):
        here.ingest()
    expected = Binding(identity(wrong), identity(here), compared=3, lacking=range(4, 4))
    assert plan(here) == expected
    with pytest.raises(UnsoundLake):
        here.ingest()
    assert bound(here, identity(here)) == expected
    assert here.ingest().batch is None
    assert here.rows() == whole
    assert not plan(here).is_needed
    with here.registry.engine.connect() as connection:
        (line,) = connection.execute(select(audit_log).where(audit_log.c.action == "bind")).all()
    assert (line.actor, line.before, line.after) == ("alice", {"lake": identity(wrong)}, {"lake": identity(here)})


def test_bind__batch_that_is_in_the_wrong_lake_alone__is_missing_then_and_repaired(
    here: Installation, wrong: Installation
) -> None:
    wrong.fill(1, first=4)
    assert bound(here, identity(here)).lacking == range(4, 5)
    with pytest.raises(UnsoundLake, match="lacks batch 4 that the registry knows"):
        here.ingest()
    target = here.landing / wrong.object(4).relative_to(wrong.landing)
    wrong.object(4).rename(target)
    assert here.repair().restored == [4]
    require_sound(here.lake.root, here.registry.batches)


def test_bind__lake_with_another_batch_of_a_number__is_refused(here: Installation, wrong: Installation) -> None:
    """The registry knows another batch 4 than the lake: bound, it would take the lake's for its own."""
    with here.registry.engine.begin() as connection:
        connection.execute(installation.update().values(lake=identity(here)))
    here.fill(1, first=4)
    with here.registry.engine.begin() as connection:
        connection.execute(installation.update().values(lake=identity(wrong)))
        connection.exec_driver_sql("UPDATE landing_objects SET name = 'events/env_key=prod/4b.jsonl' WHERE batch = 4")
    for attempt in (plan, lambda at: bound(at, identity(here))):
        with pytest.raises(UnsoundLake, match=r"Batch 4 of this lake is another one than the registry's\."):
            attempt(here)
    known = here.registry.batches.state().installation
    assert known is not None
    assert known.lake == identity(wrong)


@pytest.mark.usefixtures("wrong")
def test_bind__planned_batch_that_is_another_one_in_the_lake__is_refused(here: Installation) -> None:
    """A commit of its number would end the planned batch, whose events are in no lake."""
    with here.registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE batches SET committed_at = NULL WHERE number = 3")
        connection.exec_driver_sql("UPDATE landing_objects SET bytes = bytes + 1 WHERE batch = 3")
    with pytest.raises(UnsoundLake, match="Batch 3 of this lake is another one"):
        plan(here)


def test_bind__lake_of_another_installation__is_refused(here: Installation, tmp_path: Path) -> None:
    other = Installation(tmp_path / "other", f"sqlite:///{tmp_path / 'other.sqlite'}")
    land(other.landing, [record(event_id="theirs")], "theirs.jsonl")
    other.ingest()
    with pytest.raises(UnsoundLake, match="Batch 1 of this lake is another one"):
        plan_binding(other.lake.root, here.registry.batches, here.registry.repairs)
    other.registry.close()


@pytest.mark.usefixtures("wrong")
def test_bind__objects_that_nobody_knows_any_more__needs_a_commit_of_the_installation(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with here.registry.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM landing_objects")
    assert plan(here).compared == 0
    monkeypatch.setattr(Snapshot, "batch_commits", lambda _: iter(()))  # as Delta leaves it after 30 days
    with pytest.raises(UnsoundLake, match="Nothing tells whether this lake's batches 1, 2, 3 are those"):
        plan(here)


def test_bind__another_id_than_that_of_the_lake_here__is_refused(here: Installation, wrong: Installation) -> None:
    with pytest.raises(ConfigurationError, match=f"--to: The lake here is {identity(here)}"):
        bound(here, identity(wrong))


def test_bind__no_lake_or_no_batch_yet__says_so(here: Installation, tmp_path: Path) -> None:
    with pytest.raises(UnsoundLake, match="There is no lake in"):
        plan_binding(tmp_path / "empty", here.registry.batches, here.registry.repairs)
    new = Installation(tmp_path / "new", f"sqlite:///{tmp_path / 'new.sqlite'}")
    with pytest.raises(UnsoundLake, match="belongs to no lake yet"):
        plan_binding(here.lake.root, new.registry.batches, new.registry.repairs)
    new.registry.close()
    assert state_of(here.lake.root).identity == identity(here)
