"""Landing objects that changed after they were ingested: named, and read again on request alone."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.lake.ingestion import landing_state
from experiment_pipeline.lake.rereading import Reread, read_again
from experiment_pipeline.lake.staging import Staging
from tests.lake.ledger import NOW, LakeInOneFolder, land, record, stored

NAME = "events/env_key=prod/2026/03/01/11/20260301T110000Z-a.jsonl"
CHANGED_AT = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)


class Installation(LakeInOneFolder):
    """A lake over one landing object, that was ingested and may be changed."""

    def write(self, *records: dict[str, Any], at: datetime | None = None) -> None:
        path = land(self.root, records)
        if at is not None:
            os.utime(path, (at.timestamp(), at.timestamp()))

    def again(self, name: str = NAME) -> Reread:
        return read_again(self.lake, self.ledger, self.root, name, NOW)

    def identities(self) -> list[str]:
        return sorted(row["identifier"] for row in stored(self.lake))


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path)
    installation.write(record(), record(identifier="bob"))
    installation.ingest()
    return installation


def test_ingest__an_object_of_another_size_or_time__is_named_and_not_read(here: Installation) -> None:
    assert landing_state(here.ledger, here.root).changed.count == 0
    here.write(record(), record(identifier="eve"), at=CHANGED_AT)
    for changed in (landing_state(here.ledger, here.root).changed, here.ingest().changed):
        assert [each.name for each in changed.first] == [NAME]
    assert here.identities() == ["ada", "bob"]
    here.write(record(), record(identifier="eve"), record(identifier="cy"))
    assert here.ingest().changed.count == 1


def test_ingest__of_an_old_registry_that_knows_no_times__compares_sizes(here: Installation) -> None:
    batch = here.ledger.batches[0]
    (landed,) = batch.objects
    assert landed.modified_at is not None
    object.__setattr__(landed, "modified_at", None)
    here.write(record(), record(identifier="eve"), at=CHANGED_AT)
    assert here.ingest().changed.count == 0
    here.write(record())
    assert here.ingest().changed.count == 1


def test_ingest__not_whole__looks_at_objects_where_something_appeared(here: Installation) -> None:
    here.ingest()
    path = here.root / NAME
    long_ago = (here.root / ".settled.json").read_text()
    assert NAME.rpartition("/")[0] in long_ago
    path.write_text(path.read_text() + "{}\n")
    land(here.root, [record(identifier="new")], "b.jsonl")
    assert here.ingest(whole=False).changed.count == 1


def test_read_again__counts_what_is_new_and_leaves_what_was_changed_or_taken_out(here: Installation) -> None:
    here.write(record(), record(identifier="eve"), record(identifier=""), at=CHANGED_AT)
    found = here.again()
    assert (found.batch, found.summary.accepted, found.summary.duplicates) == (2, 1, 1)
    assert found.summary.rejected == {"empty:identifier": 1}
    assert here.identities() == ["ada", "bob", "eve"]
    (landed,) = here.ledger.batches[1].objects
    assert (landed.reading, landed.landed_at) == (2, CHANGED_AT), "not when the first reading arrived"
    assert here.ingest().changed.count == 0
    with pytest.raises(ConfigurationError, match=r"FILE: .*-a.jsonl has not changed since batch 2."):
        here.again()


@pytest.mark.parametrize("point", ["write_rejected", "write_events", "commit_batch"])
def test_read_again__killed_anywhere__is_finished_by_the_next_and_counts_once(
    here: Installation, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    here.write(record(), record(identifier="eve"), {}, at=CHANGED_AT)
    with monkeypatch.context() as patch:
        if point == "commit_batch":
            here.ledger.dies = True
        else:
            patch.setattr(Staging, point, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.again()
    found = here.again()
    assert (found.batch, found.summary.accepted, found.summary.duplicates) == (2, 1, 1)
    assert here.identities() == ["ada", "bob", "eve"]
    assert len(stored(here.lake, "rejected")) == 1
    assert here.ingest().batch is None


def test_read_again__by_any_path_to_it__is_the_same_object(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    here.write(record(identifier="eve"), at=CHANGED_AT)
    monkeypatch.chdir(here.root / "events")
    assert here.again(NAME.removeprefix("events/")).batch == 2
    here.write(record(identifier="cy"))
    assert here.again(str(here.root / NAME)).batch == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("events/env_key=prod/b.jsonl", "events/env_key=prod/b.jsonl was never ingested. See lake status"),
        ("notes.txt", "notes.txt is no object of the landing zone"),
        (NAME, "is not there, or cannot be read"),
    ],
)
def test_read_again__what_cannot_be__is_refused_with_the_reason(here: Installation, name: str, message: str) -> None:
    (here.root / NAME).unlink()
    with pytest.raises(ConfigurationError, match=f"FILE: .*{message}"):
        here.again(name)
    assert len(here.ledger.batches) == 1
