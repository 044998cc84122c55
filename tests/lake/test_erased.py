"""Erased identities at ingestion: what comes of them again is left out, unless it is dated later (rule E6)."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from experiment_pipeline.domain.erasures import ErasedIdentities, digest_of
from tests.lake.ledger import PROD, LakeInOneFolder, land, record, stored

KEY = b"s" * 32
MOMENT = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
AFTER = int(MOMENT.timestamp() * 1_000)
BEFORE_NAME, AFTER_NAME = "20260301T112959Z-a.jsonl", "20260301T113000Z-b.jsonl"


@pytest.fixture
def here(tmp_path: Path) -> LakeInOneFolder:
    made = LakeInOneFolder(tmp_path)
    made.ledger.erased = ErasedIdentities(KEY, {(PROD, digest_of(KEY, "ada")): MOMENT})
    return made


def test_ingest__records_that_landed_before__are_left_out(here: LakeInOneFolder) -> None:
    rejected = record(timestamp="no time")
    land(here.root, [record(timestamp=AFTER), rejected, record(identifier="bob")], BEFORE_NAME)
    report = here.ingest()
    assert (report.accepted, report.erased, report.rejected) == (1, 2, {})
    assert [row["identifier"] for row in stored(here.lake)] == ["bob"]
    assert stored(here.lake, "rejected") == []


def test_ingest__records_that_land_later__are_left_out_where_they_are_dated_before(here: LakeInOneFolder) -> None:
    lines = [record(timestamp=AFTER - 1), record(timestamp=AFTER), record(timestamp=AFTER - 1, event="$odd")]
    land(here.root, [*lines, record(timestamp="no time")], AFTER_NAME)
    report = here.ingest()
    assert (report.accepted, report.erased, report.rejected) == (1, 2, {"bad_timestamp": 1})
    assert [row["timestamp"] for row in stored(here.lake)] == [MOMENT]
    assert [json.loads(row["record"])["timestamp"] for row in stored(here.lake, "rejected")] == ["no time"]


def test_ingest__link_of_either_end__is_left_out(here: LakeInOneFolder) -> None:
    link = {"event": "$identity_link"}
    pairs = [("ada", "bob"), ("bob", "ada"), ("bob", "eve")]
    land(here.root, [record(**link, identifier=one, value=other) for one, other in pairs], BEFORE_NAME)
    assert here.ingest().erased == 2
    assert [row["value"] for row in stored(here.lake)] == ["eve"]


def test_ingest__of_another_environment__keeps_what_has_the_same_identifier(here: LakeInOneFolder) -> None:
    here.ledger.known_environments.add("other")
    land(here.root, [record()], BEFORE_NAME, "other")
    report = here.ingest()
    assert (report.accepted, report.erased) == (1, 0)
