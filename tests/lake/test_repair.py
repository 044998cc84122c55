"""Lake and registry that do not fit are refused, and repaired: nothing lost, nothing doubled (rules E6, E7, R3)."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from experiment_pipeline.domain.batches import PlannedBatch
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.errors import ConfigurationError, UnsoundLake
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.rereading import read_again
from experiment_pipeline.lake.retrying import Retrying
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.lake.staging import Staging
from experiment_pipeline.landing.landing_zone import landed_objects
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.tables import batches, installation, landing_objects
from tests.conftest import make_registry
from tests.lake.installations import Installation
from tests.lake.ledger import NOW, PROD, land, record, stored


@pytest.fixture(scope="module")
def three_batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's own installation in SQLite is copied from."""
    root = tmp_path_factory.mktemp("three-batches")
    filled = Installation(root, make_registry(root / "registry.sqlite"))
    filled.fill(3)
    filled.registry.close()
    return root


@pytest.fixture
def here(tmp_path: Path, three_batches: Path) -> Iterator[Installation]:
    """Three batches."""
    shutil.copytree(three_batches, tmp_path, dirs_exist_ok=True)
    copied = Installation(tmp_path, f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield copied
    copied.registry.close()


@pytest.fixture
def on_each(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    """Three batches, on each database."""
    installed = Installation(tmp_path, database_url)
    installed.fill(3)
    yield installed
    installed.registry.close()


def refusal(here: Installation) -> str:
    """Return why an ingestion is refused, and check that it changes nothing."""
    known = here.registry.batches.state()
    with pytest.raises(UnsoundLake) as refused:
        here.ingest()
    assert here.registry.batches.state() == known
    return str(refused.value)


def forget(registry: Registry, *numbers: int) -> None:
    """Make the registry an older copy of itself."""
    with registry.engine.begin() as connection:
        connection.execute(delete(landing_objects).where(landing_objects.c.batch.in_(numbers)))
        connection.execute(delete(batches).where(batches.c.number.in_(numbers)))


def test_ingest__lake_restored_from_an_older_copy__is_refused_until_it_is_repaired(on_each: Installation) -> None:
    on_each.save_lake()
    on_each.fill(2, first=4)
    whole = on_each.rows()
    on_each.restore_lake()
    on_each.land(6)
    assert "The lake lacks batches 4, 5 that the registry knows." in refusal(on_each)
    assert on_each.plan_repair().restored == [4, 5]
    assert on_each.repair().restored == [4, 5]
    assert on_each.rows() == whole
    assert on_each.ingest().batch == 6


@pytest.mark.parametrize("table", ["", "events", "rejected"])
def test_ingest__lake_or_one_table_gone__is_refused_until_it_is_repaired(here: Installation, table: str) -> None:
    whole = here.rows()
    here.lose_lake(table)
    assert "batches 1, 2, 3 that the registry knows." in refusal(here)
    assert here.repair().restored == [1, 2, 3]
    assert here.rows() == whole
    require_sound(here.lake.root, here.registry.batches)


def test_repair__environment_declared_since__rejects_what_was_rejected_then(tmp_path: Path) -> None:
    here = Installation(tmp_path, f"sqlite:///{tmp_path / 'registry.sqlite'}")
    land(here.landing, [record()], "1.jsonl", "later")
    here.ingest()
    whole = here.rows()
    here.registry.environments.create("later", "Later", actor="test", now=NOW.replace(hour=13))
    here.lose_lake()
    here.repair()
    assert here.rows() == whole
    here.registry.close()


def test_repair__objects_that_are_gone__are_listed_and_stop_it_until_their_loss_is_accepted(
    on_each: Installation,
) -> None:
    on_each.lose_lake()
    on_each.object(2).unlink()
    for report in (on_each.plan_repair(), on_each.repair()):
        (loss,) = report.losses
        names = [landed.name for landed in loss.gone]
        assert (loss.batch, names) == (2, ["events/env_key=prod/2026/03/01/11/2.jsonl"])
        assert (report.restored, report.stopped) == ([1], 2)
    assert "The lake lacks batches 2, 3" in refusal(on_each)
    report = on_each.repair(2)
    assert (report.restored, report.stopped) == ([2, 3], None)
    assert [(row["batch"], row["event_id"]) for row in stored(on_each.lake)] == [(1, "0"), (1, "1"), (3, "2"), (3, "3")]
    (audited,) = on_each.registry.audit.list(action="accept_loss")
    assert (audited.subject, audited.actor, audited.environment_key) == ("batch:2", "test", "prod")
    on_each.lose_lake()  # once more: what is accepted stays accepted
    assert on_each.repair().restored == [1, 2, 3]


def test_repair__another_object_of_a_batch_whose_loss_is_accepted__stops_it_again(here: Installation) -> None:
    here.land(4)
    other = land(here.landing, [record(event_id="another")], "another.jsonl")
    assert here.ingest().batch == 4
    here.lose_lake()
    here.object(4).unlink()
    assert here.repair(4).stopped is None
    here.lose_lake()
    other.unlink()
    report = here.repair()
    assert (report.restored, report.stopped) == ([1, 2, 3], 4)
    assert here.repair(4).stopped is None
    audited = here.registry.audit.list(action="accept_loss")
    assert [line.before and line.before["objects"] for line in audited] == [1, 1], "each loss was accepted by name"


def test_repair__object_of_another_size__is_never_taken_for_its_batch(here: Installation) -> None:
    here.lose_lake()
    here.object(3).write_text(json.dumps(record(event_id="another")) + "\n")
    report = here.repair()
    (loss,) = report.losses
    assert (loss.batch, loss.gone, len(loss.changed), report.stopped) == (3, (), 1, 3)
    here.repair(3)
    assert "another" not in {row["event_id"] for row in stored(here.lake)}


def test_repair__object_of_another_time__is_listed_and_not_taken_for_what_it_replaces(here: Installation) -> None:
    path = here.object(3)
    path.write_text(path.read_text().replace('"3"', '"9"'))
    here.lose_lake()
    (loss,) = here.repair().losses
    assert (loss.batch, [landed.name for landed in loss.retimed]) == (3, ["events/env_key=prod/2026/03/01/11/3.jsonl"])
    here.repair(3)
    assert "9" not in {row["event_id"] for row in stored(here.lake)}


def test_repair__landing_zone_restored_without_times__is_read_on_request(here: Installation) -> None:
    whole = here.rows()
    here.lose_lake()
    for number in (1, 2, 3):
        os.utime(here.object(number), (1_772_400_000, 1_772_400_000))
    here.object(3).write_text(here.object(3).read_text() + "\n")
    assert (here.repair().stopped, here.repair(ignores_times=True).stopped) == (1, 3)
    here.object(3).write_text(here.object(3).read_text().removesuffix("\n"))
    report = here.repair(ignores_times=True)
    assert (report.losses, report.stopped) == ([], None)
    assert here.rows() == whole


def test_repair__in_the_wrong_data_directory__stops_and_leaves_the_registry_with_its_lake(
    here: Installation, tmp_path: Path
) -> None:
    wrong = Installation(tmp_path / "wrong", f"sqlite:///{tmp_path / 'registry.sqlite'}")
    assert wrong.repair().stopped == 1
    wrong.registry.close()
    assert here.ingest().batch is None


def counts_by_environment(registry: Registry) -> list[Any]:
    with registry.engine.connect() as connection:
        return list(connection.scalars(select(batches.c.by_environment).order_by(batches.c.number)))


@pytest.mark.parametrize("forgotten", [False, True])
def test_repair__batches_that_read_again_or_retry__come_back_as_they_were(
    tmp_path: Path, database_url: str, forgotten: bool
) -> None:
    here = Installation(tmp_path, database_url)
    land(here.landing, [record(), record(identifier=""), record(identifier="bob")], "1.jsonl", "later")
    local = record(identifier="cy", timestamp="2026-02-25T06:13:20")
    land(here.landing, [local], "2.jsonl", "later")
    here.ingest()
    here.registry.environments.create("later", "Later", actor="test", now=NOW.replace(hour=13))
    ledger = here.registry.batches
    Retrying(here.lake, ledger, here.landing, NOW, timezone="Asia/Kolkata").run()
    land(here.landing, [local | {"identifier": "di"}], "2.jsonl", "later")
    read_again(here.lake, ledger, here.landing, "events/env_key=later/2026/03/01/11/2.jsonl", NOW, timezone="UTC")
    whole, retried, counted = here.rows(), ledger.retried_records(), counts_by_environment(here.registry)
    assert counted[1:] == [
        {
            "later": {
                "accepted": 3,
                "duplicates": 0,
                "rejected": {"empty:identifier": 1},
                "retried": {"unknown_environment": 4},
            }
        },
        {"later": {"accepted": 1, "duplicates": 0, "rejected": {}, "retried": {}}},
    ]
    assert [(row["identifier"], row["batch"], row["timestamp"].hour) for row in whole["events"]] == [
        ("ada", 2, 6),
        ("bob", 2, 6),
        ("cy", 2, 0),
        ("di", 3, 6),
    ]
    if forgotten:
        forget(here.registry, 2, 3)
        assert here.repair().adopted == [2, 3]
        assert set(ledger.retried_records()) == set(retried)
        assert here.rows() == whole
    assert counts_by_environment(here.registry) == counted
    here.lose_lake()
    assert here.repair().stopped == 1, "2.jsonl is not what batch 1 had read"
    here.repair(1)
    assert [row["identifier"] for row in stored(here.lake)] == ["ada", "bob", "di"]
    assert sorted((row["batch"], row["reason"]) for row in stored(here.lake, "rejected")) == [
        (1, "unknown_environment"),
        (1, "unknown_environment"),
        (1, "unknown_environment"),
        (2, "empty:identifier"),
    ]
    here.registry.close()


def test_repair__loss_of_a_batch_that_there_is_not__is_refused(here: Installation) -> None:
    with pytest.raises(ConfigurationError, match="There is no batch 4: the newest one is 3"):
        here.repair(4)


def test_repair__nothing_to_do__changes_nothing(here: Installation) -> None:
    whole = here.rows()
    report = here.repair(2)
    assert (report.restored, report.adopted, report.losses) == ([], [], [])
    assert here.rows() == whole
    assert here.registry.audit.list(action="accept_loss") == []


def test_ingest__removed_landing_objects__are_no_loss_while_the_lake_holds_them(here: Installation) -> None:
    for number in (1, 2, 3):
        here.object(number).unlink()
    here.land(4)
    assert here.ingest().batch == 4


def test_ingest__registry_restored_from_an_older_copy__is_refused_until_it_adopts(on_each: Installation) -> None:
    whole, known = on_each.rows(), [on_each.registry.repairs.batch(number) for number in (1, 2, 3)]
    forget(on_each.registry, 2, 3)
    on_each.land(4)
    assert "The lake holds batches 2, 3 that the registry does not know." in refusal(on_each)
    assert on_each.plan_repair().adopted == [2, 3]
    assert on_each.repair().adopted == [2, 3]
    assert [on_each.registry.repairs.batch(number) for number in (1, 2, 3)] == known
    assert on_each.rows() == whole
    assert (on_each.ingest().batch, on_each.registry.batches.lake_version().data_version) == (4, 4)


def test_repair__older_registry_with_an_open_batch__finishes_it_and_adopts_the_later_ones(here: Installation) -> None:
    known, counted = here.registry.repairs.batch(3), counts_by_environment(here.registry)
    forget(here.registry, 3)
    with here.registry.engine.begin() as connection:
        unfinished = {"committed_at": None, "by_environment": None}
        connection.execute(update(batches).where(batches.c.number == 2).values(unfinished))
    assert "The lake holds batch 3 that the registry does not know." in refusal(here)
    assert here.repair().adopted == [3]
    assert counts_by_environment(here.registry) == counted
    assert here.registry.repairs.batch(3) == known
    assert here.registry.batches.open_batch() is None


def test_repair__older_registry_and_a_batch_that_was_interrupted__is_adopted_and_finished_by_ingestion(
    here: Installation,
) -> None:
    here.land(4)
    (landed,) = (each for each in landed_objects(here.landing) if each.name.endswith("/4.jsonl"))
    interrupted = PlannedBatch(4, NOW, (landed,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Staging, "write_events", _killed)
        with pytest.raises(KeyboardInterrupt):
            here.ingest()
    assert here.registry.batches.open_batch() == interrupted
    forget(here.registry, 4)
    assert "The lake holds batch 4 that the registry does not know." in refusal(here)
    assert here.repair().adopted == [4]
    assert here.registry.batches.open_batch() == interrupted
    assert here.ingest().batch == 4
    assert Counter(row["batch"] for row in here.rows()["rejected"]) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert [row["event_id"] for row in here.rows()["events"]] == ["0", "1", "2", "3", "4"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_ingest__registry_declared_anew__is_refused_until_it_adopts_the_lake_with_its_id(
    here: Installation, tmp_path: Path
) -> None:
    whole, before = here.rows(), here.registry.installation.get()
    anew = Installation(tmp_path, f"sqlite:///{tmp_path / 'anew.sqlite'}")
    assert "The lake holds batches 1, 2, 3 that the registry does not know." in refusal(anew)
    assert anew.repair().adopted == [1, 2, 3]
    assert anew.registry.installation.get() == before
    assert anew.ingest().batch is None
    assert anew.rows() == whole
    anew.registry.close()


def test_repair__commits_that_do_not_say_their_objects__read_them_once_more_and_count_their_events_once(
    here: Installation, tmp_path: Path
) -> None:
    log = here.lake.folder / "events" / "_delta_log"
    for commit in sorted(log.glob("*.json"))[:3]:  # the table, batches 1 and 2: as if written before commits said it
        commit.write_text(commit.read_text().replace('"objects":', '"unknown":').replace('"planned_at":', '"moment":'))
    anew = Installation(tmp_path, f"sqlite:///{tmp_path / 'anew.sqlite'}")
    report = anew.repair()
    assert (report.adopted, report.unknown) == ([1, 2, 3], [1, 2])
    events = stored(anew.lake)
    again = anew.ingest()
    assert (again.batch, again.objects, again.accepted) == (4, 2, 0)
    assert stored(anew.lake) == events
    anew.registry.close()


def test_ingest__registry_used_with_a_second_data_directory__is_refused(on_each: Installation, tmp_path: Path) -> None:
    other = Installation(tmp_path / "other", on_each.registry.engine.url.render_as_string(hide_password=False))
    other.land(4)
    assert "The lake lacks batches 1, 2, 3 that the registry knows." in refusal(other)
    report = other.repair()
    assert [loss.batch for loss in report.losses] == [1, 2, 3]
    assert report.stopped == 1
    other.registry.close()


def test_ingest__lake_of_another_installation__is_refused_and_never_repaired(
    here: Installation, tmp_path: Path
) -> None:
    other = Installation(tmp_path / "other", f"sqlite:///{tmp_path / 'other.sqlite'}")
    other.fill(3)
    other.lose_lake()
    here.lake.folder.rename(other.lake.folder)
    assert "The lake here is not the one that the registry belongs to." in refusal(other)
    with pytest.raises(UnsoundLake, match="not the one that the registry belongs to"):
        other.repair()
    other.registry.close()


def test_ingest__lake_from_before_there_were_installations__is_adopted_by_the_next_batch(here: Installation) -> None:
    with here.registry.engine.begin() as connection:
        connection.execute(delete(installation))
    assert here.ingest().batch is None
    here.fill(1, first=4)
    known = here.registry.installation.get()
    assert known is not None
    assert known.lake == Snapshot.open(here.lake.root, EVENTS).identity


@pytest.mark.parametrize("merged", [False, True])
def test_ingest__files_of_the_lake_missing__is_refused_until_it_is_repaired(here: Installation, merged: bool) -> None:
    if merged:
        compact(here.lake, NOW, whole=True)
    whole = here.rows()
    for file in Snapshot.open(here.lake.root, EVENTS).data_files()[-1:]:
        (here.lake.root / "events" / file.path).unlink()
    (rejects,) = (here.lake.root / "rejected").glob("batch-00000002-*")
    rejects.unlink()
    assert "2 files of the lake are missing" in refusal(here)
    report = here.repair()
    assert (report.losses, report.stopped) == ([], None)
    assert here.rows() == whole
    assert here.ingest().batch is None


def test_repair__files_missing_and_objects_gone__keeps_the_log_until_the_loss_is_accepted(here: Installation) -> None:
    compact(here.lake, NOW, whole=True)
    (file,) = Snapshot.open(here.lake.root, EVENTS).data_files()
    (here.lake.root / "events" / file.path).unlink()
    here.object(2).unlink()
    assert (here.repair().stopped, here.repair().stopped) == (2, 2)
    assert "1 files of the lake are missing" in refusal(here)
    assert here.repair(2).stopped is None
    assert [row["event_id"] for row in stored(here.lake)] == ["0", "1", "2", "3"]
    assert here.ingest().batch is None


def test_repair__batch_that_was_interrupted__is_finished_by_the_next_ingestion(here: Installation) -> None:
    whole = here.rows()
    with here.registry.engine.begin() as connection:
        connection.execute(update(batches).where(batches.c.number == 3).values(committed_at=None))
    here.lose_lake()
    assert here.repair().restored == [1, 2]
    assert here.ingest().batch == 3
    assert here.rows() == whole


def test_require_sound__beside_an_ingestion__sees_no_flaw(here: Installation) -> None:
    """The registry plans a batch, the lake holds it, the registry commits it: none of it is a flaw."""
    here.land(4)
    commit = type(here.registry.batches).commit_batch

    class Checking(type(here.registry.batches)):  # type: ignore[misc]
        def commit_batch(self, *arguments: object, **named: object) -> None:
            require_sound(here.lake.root, self)
            commit(self, *arguments, **named)  # type: ignore[arg-type]
            require_sound(here.lake.root, self)

    assert ingest(here.lake, Checking(here.registry.engine), here.landing, NOW).batch == 4


def test_event_files__data_version_that_the_lake_does_not_hold__is_refused(here: Installation) -> None:
    window = Window(datetime(2026, 2, 1, tzinfo=UTC), NOW)
    assert len(here.lake.event_files(PROD, window, 3).events) == 3
    with pytest.raises(UnsoundLake, match="The lake lacks batches 4, 5"):
        here.lake.event_files(PROD, window, 5)
    Path(here.lake.event_files(PROD, window, 3).events[0]).unlink()
    with pytest.raises(UnsoundLake, match="1 files of the lake are missing"):
        here.lake.event_files(PROD, window, 3)
    here.lose_lake()
    with pytest.raises(UnsoundLake, match="The lake lacks batch 1"):
        here.lake.event_files(PROD, window, 1)
    assert here.lake.event_files(PROD, window, 0).events == []


def history(here: Installation) -> str:
    return here.lake.event_files(PROD, Window(NOW, NOW)).history


def test_repair__of_anything__begins_a_new_history_of_the_lake_and_one_of_nothing_does_not__i1(
    here: Installation,
) -> None:
    before = history(here)
    here.repair()
    assert history(here) == before
    here.save_lake()
    here.fill(1, first=4)
    here.restore_lake()
    here.repair()
    after = history(here)
    assert after != before
    here.fill(1, first=5)
    compact(here.lake, NOW, whole=True)
    assert history(here) == after
