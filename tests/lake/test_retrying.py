"""Rejected records that are taken in again once the cause is gone (rules E3, E4, E7)."""

from pathlib import Path

import pytest

from experiment_pipeline.domain import events
from experiment_pipeline.lake.inspection import latest_rejected
from experiment_pipeline.lake.retrying import Retry, Retrying
from experiment_pipeline.lake.staging import Staging
from tests.lake.ledger import NOW, LakeInOneFolder, land, record, stored

LATER = "later"
NO_ZONE = "2026-02-25T06:13:20"


class Installation(LakeInOneFolder):
    """A lake that rejected records of an environment that did not exist yet."""

    def land(self, *lines: object, name: str = "20260301T110000Z-a.jsonl") -> None:
        land(self.root, lines, name, LATER)

    def retrying(self, reason: str | None = None, timezone: str | None = None) -> Retrying:
        return Retrying(self.lake, self.ledger, self.root, NOW, reason, timezone)

    def retry(self, reason: str | None = None, timezone: str | None = None) -> Retry:
        return self.retrying(reason, timezone).run()

    def declare(self) -> None:
        self.ledger.known_environments.add(LATER)

    def standing(self) -> list[tuple[int, int | None, str]]:
        found = latest_rejected(self.lake, self.ledger.retried_records(), 100)
        return sorted(((each.line, each.position, each.reason) for each in found), key=str)


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path)
    installation.land(record(), {"events": [record(identifier="bob"), record(identifier="")]}, "{", record())
    installation.ingest()
    return installation


def test_retry__while_the_cause_is_there__changes_nothing(here: Installation) -> None:
    before = here.standing()
    found = here.retry()
    assert (found.batch, found.records, found.accepted) == (None, {"unknown_environment": 5}, {})
    assert len(here.ledger.batches) == 1
    assert here.standing() == before


def test_retry__once_the_environment_exists__takes_in_what_is_accepted_now_and_keeps_the_rest(
    here: Installation,
) -> None:
    here.declare()
    planned = here.retrying().plan()
    assert (planned.records, planned.accepted) == ({"unknown_environment": 5}, {"unknown_environment": 3})
    assert len(here.ledger.batches) == 1, "planning changes nothing"
    found = here.retry()
    assert (found.batch, found.new_events, found.duplicates) == (2, 2, 1)
    assert found.rejected == {"empty:identifier": 1, "not_json": 1}
    rows = stored(here.lake)
    assert sorted(row["identifier"] for row in rows) == ["ada", "bob"]
    assert {(row["batch"], row["environment_key"]) for row in rows} == {(2, LATER)}
    (arrival,) = {row["landed_at"] for row in rows}
    assert arrival.hour == 11, "they arrived when their object did"
    assert here.standing() == [(2, 2, "empty:identifier"), (3, None, "not_json")]
    counts = [here.ledger.by_environment[batch] for batch in (1, 2)]
    assert counts == [
        {LATER: {"accepted": 0, "duplicates": 0, "rejected": {"unknown_environment": 5}, "retried": {}}},
        {LATER: {"accepted": 2, "duplicates": 1, "rejected": found.rejected, "retried": {"unknown_environment": 5}}},
    ]
    again = here.retry()
    assert (again.batch, again.accepted) == (None, {})
    assert here.ingest().batch is None, "the object is still known"


def test_retry__of_one_reason__leaves_the_others(here: Installation) -> None:
    here.declare()
    here.land(record(timestamp=NO_ZONE, identifier="cy"), record(identifier=7.5), name="b.jsonl")
    here.ingest()
    assert here.retry("timestamp_without_zone").batch is None, "no time zone is set"
    found = here.retry("timestamp_without_zone", "Asia/Kolkata")
    assert (found.batch, found.new_events, found.records) == (3, 1, {"timestamp_without_zone": 1})
    assert [row["timestamp"].hour for row in stored(here.lake)] == [0]
    assert here.retry("bad_type").records == {"bad_type:identifier": 1}
    assert here.retry().new_events == 2
    assert sorted(reason for *_, reason in here.standing()) == ["bad_type:identifier", "empty:identifier", "not_json"]


def test_retry__what_an_object_rejected_in_two_batches__is_taken_in_from_each(here: Installation) -> None:
    here.declare()
    assert here.retry().batch == 2
    here.land(record(timestamp=NO_ZONE, identifier="cy"), record(timestamp=NO_ZONE, identifier="di"), name="b.jsonl")
    here.ingest()
    here.ledger.known_environments.discard(LATER)
    assert here.retry().batch is None
    here.declare()
    found = here.retry(timezone="UTC")
    assert (found.batch, found.new_events, found.accepted) == (4, 2, {"timestamp_without_zone": 2})


@pytest.mark.parametrize("point", ["write_rejected", "write_events", "commit_batch"])
@pytest.mark.parametrize("next_is", ["retry", "ingest"])
def test_retry__killed_anywhere__is_finished_by_the_next_and_counts_once(
    here: Installation, monkeypatch: pytest.MonkeyPatch, point: str, next_is: str
) -> None:
    here.declare()
    with monkeypatch.context() as patch:
        if point == "commit_batch":
            here.ledger.dies = True
        else:
            patch.setattr(Staging, point, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.retry()
    if next_is == "retry":
        found = here.retry()
        assert (found.batch, found.new_events, found.duplicates) == (2, 2, 1)
    else:
        report = here.ingest()
        assert (report.batch, report.accepted, report.duplicates) == (2, 2, 1)
    assert sorted(row["identifier"] for row in stored(here.lake)) == ["ada", "bob"]
    assert here.standing() == [(2, 2, "empty:identifier"), (3, None, "not_json")]
    assert len(stored(here.lake, "rejected")) == 7, "five of batch 1, and two of batch 2"
    assert here.retry().batch is None


def test_retry__of_a_record_that_was_stored_in_part__keeps_it_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Installation(tmp_path)
    here.land(record(traits={"x": "y" * events.RECORD_LIMIT}), record())
    here.ingest()
    here.declare()
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write_events", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.retry()
    assert here.retry().new_events == 1
    assert here.standing() == [(1, None, "unknown_environment")]
    (kept,) = latest_rejected(here.lake, here.ledger.retried_records(), 100)
    assert len(kept.record) == events.RECORD_LIMIT
    assert here.retry().batch is None


def test_retry__of_a_lake_that_rejected_nothing__does_nothing(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    assert here.retry() == Retry()
    here.declare()
    here.land(record())
    here.ingest()
    assert here.retry() == Retry()
