"""Months that an environment keeps no longer leave the lake, and nothing reads too little of them (rule X8)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.retention import Retention
from experiment_pipeline.errors import RowsDropped
from experiment_pipeline.lake.retention import Expired, expire, planned_expiry
from tests.lake.ledger import PROD, LakeInOneFolder, land, record, stored

JANUARY, FEBRUARY = 1_768_000_000_000, 1_772_000_000_000
KEPT = Retention(PROD, timedelta(days=31), "2026-02", datetime(2026, 3, 1, 11, 30, tzinfo=UTC))


def window(month: int) -> Window:
    return Window(datetime(2026, month, 1, tzinfo=UTC), datetime(2026, 2, 20, tzinfo=UTC))


def filled(root: Path) -> LakeInOneFolder:
    here = LakeInOneFolder(root)
    here.ledger.known_environments.add("other")
    lines = [
        *(record(timestamp=at) for at in (JANUARY, FEBRUARY)),
        record(event="$identity_link", timestamp=JANUARY),
        "{",
    ]
    for key in (PROD, "other"):
        land(root, lines, "20260301T110000Z-a.jsonl", key)
    land(root, ["{"], "20260301T114500Z-b.jsonl")
    here.ingest()
    return here


def test_expire__months_before_and_rejected_records__go_and_others_stay(tmp_path: Path) -> None:
    here = filled(tmp_path)
    planned = planned_expiry(here.lake, KEPT)
    assert planned == Expired(PROD, ("2026-01",), 1, 1)
    assert len(stored(here.lake)) == 6
    assert expire(here.lake, KEPT) == planned
    left = [(row["environment_key"], row["month"]) for row in stored(here.lake)]
    assert sorted(left) == sorted(
        [*[("other", month) for month in ("2026-01", "2026-02", "links")], (PROD, "2026-02"), (PROD, "links")]
    )
    assert sorted(row["environment_key"] for row in stored(here.lake, "rejected")) == ["other", PROD]
    assert expire(here.lake, KEPT) == Expired(PROD, (), 0, 0)


def test_expire__then_a_window_that_begins_before__is_refused_and_others_are_read(tmp_path: Path) -> None:
    here = filled(tmp_path)
    expire(here.lake, KEPT)
    with pytest.raises(RowsDropped, match="Events of prod before 2026-02 are gone"):
        here.lake.event_files(PROD, window(1), 1)
    assert len(here.lake.event_files(PROD, window(2), 1).events) == 1
    assert len(here.lake.event_files("other", window(1), 1).events) == 2


def test_expire__shorter_keep_and_longer_again__says_what_is_gone(tmp_path: Path) -> None:
    here = filled(tmp_path)
    expire(here.lake, KEPT)
    expire(here.lake, Retention(PROD, timedelta(days=400), "2025-01", KEPT.before))
    with pytest.raises(RowsDropped):
        here.lake.event_files(PROD, window(1), 1)
