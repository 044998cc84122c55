"""Listing the landing zone: what counts as an object, when it landed, and how little is looked at again."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.lake import ingestion
from experiment_pipeline.lake.ingestion import SETTLED, has_landed, ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.layout import stamp
from experiment_pipeline.landing.listing import landed_objects
from tests.lake.ledger import NOW, MemoryLedger, land, record


@pytest.mark.parametrize(
    ("name", "landed"),
    [
        ("20260102T030405Z-a.jsonl", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("20260102T030405.678901Z-a.jsonl", datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)),
        ("20260102T030405.5Z-a.jsonl", datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)),
        ("20260230T030405Z-a.jsonl", None),
        ("20260102T030405-a.jsonl", None),
        ("a-20260102T030405Z-.jsonl", None),
    ],
)
def test_stamp__is_what_a_name_begins_with(name: str, landed: datetime | None) -> None:
    assert stamp(name) == landed


def test_landed_objects__of_hours_without_a_change__are_passed_over(tmp_path: Path) -> None:
    old = land(tmp_path, [], "old.jsonl")
    before, after = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    assert len(list(landed_objects(tmp_path, changed_since=before))) == 1
    assert list(landed_objects(tmp_path, changed_since=after)) == []
    os.utime(old.parent, (0, 0))  # as a copying tool would
    assert len(list(landed_objects(tmp_path, changed_since=before))) == 1


def test_has_landed__asks_only_about_hours_that_changed_since_all_was_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, lake = MemoryLedger(), Lake(tmp_path / "lake")
    land(tmp_path, [record()], "old.jsonl")
    ingest(lake, ledger, tmp_path, NOW)
    assert (tmp_path / SETTLED).exists()
    asked = len(ledger.asked)
    assert not has_landed(ledger, tmp_path)
    assert len(ledger.asked) == asked + 1  # within the margin: it might have changed
    monkeypatch.setattr(ingestion, "SETTLED_MARGIN", timedelta(0))
    assert not has_landed(ledger, tmp_path)
    assert len(ledger.asked) == asked + 1  # nothing was listed, so nothing was asked
    land(tmp_path, [record()], "late.jsonl")  # into the same hour
    assert has_landed(ledger, tmp_path)


def test_has_landed__with_a_new_ledger__looks_at_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(tmp_path, [record()], "old.jsonl")
    ingest(Lake(tmp_path / "lake"), MemoryLedger(), tmp_path, NOW)
    monkeypatch.setattr(ingestion, "SETTLED_MARGIN", -timedelta(days=1))
    assert has_landed(MemoryLedger(), tmp_path)
