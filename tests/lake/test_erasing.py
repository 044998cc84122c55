"""Erasing an identity from every file of the lake, of every version (rule E6)."""

from datetime import UTC, datetime
from pathlib import Path

from experiment_pipeline.domain.erasures import ErasedIdentity
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.dropping import rows_by_removing_batch
from experiment_pipeline.lake.erasing import LakeErasing
from tests.lake.ledger import NOW, PROD, LakeInOneFolder, land, record, stored, unnamed_files
from tests.lake.source_objects import land_range, order, visible_rows

MONTHS = (1_768_000_000_000, 1_772_000_000_000)
ADA = ErasedIdentity("ada", datetime(2026, 3, 2, tzinfo=UTC))


def erasing(here: LakeInOneFolder, identity: ErasedIdentity = ADA, environment: str = PROD) -> LakeErasing:
    return LakeErasing(here.lake, environment, identity)


def erase(here: LakeInOneFolder, identity: ErasedIdentity = ADA) -> None:
    of = erasing(here, identity)
    with here.lake.alone():
        of.erase_rejected()
        of.erase_events()
        of.delete_old_files()


def fill(here: LakeInOneFolder) -> None:
    """Two batches in two months, links, and rejected records, of two identities."""
    for number in (1, 2):
        events = [record(identifier=who, timestamp=at, value=str(number)) for who in ("ada", "bob") for at in MONTHS]
        links = [record(event="$identity_link", identifier=f"device {number}", value=who) for who in ("ada", "bob")]
        rejected = [record(identifier=who, timestamp="x") for who in ("ada", "bob")]
        land(here.root, [*events, *links, *rejected, '{ "adam'], f"20260301T11000{number}Z-a.jsonl")
        here.ingest()


def test_erase__present_and_older_versions__hold_nothing_and_others_keep_their_rows(tmp_path: Path) -> None:
    here = LakeInOneFolder(tmp_path)
    fill(here)
    compact(here.lake, NOW, whole=True)
    others = [row for row in stored(here.lake) if "ada" not in {row["identifier"], row["value"]}]
    of = erasing(here)
    assert (of.events().total, of.rejected().total) == (6, 2)
    assert of.old_files().total == 6  # what compaction has replaced
    assert of.linked() == ["device 1", "device 2"]
    erase(here)
    assert (of.events().total, of.rejected().total, of.old_files().total, of.linked()) == (0, 0, 0, [])
    assert stored(here.lake) == others
    assert len(others) == 6
    assert len(stored(here.lake, "rejected")) == 4
    assert [
        path for path in unnamed_files(here.lake.folder) if b"ada" in path.read_bytes().replace(b"metadata", b"")
    ] == []


def test_erase__same_identifier_elsewhere_or_later__stays(tmp_path: Path) -> None:
    here = LakeInOneFolder(tmp_path)
    here.ledger.known_environments.add("other")
    land(here.root, [record()], "20260301T110000Z-a.jsonl", "other")
    land(here.root, [record(timestamp=1_772_362_800_000)], "20260301T110000Z-a.jsonl")  # 11:00
    here.ingest()
    erase(here, ErasedIdentity("ada", datetime(2026, 3, 1, 11, tzinfo=UTC)))
    assert len(stored(here.lake)) == 2


def test_erase__removed_rows__go_with_their_removals(tmp_path: Path) -> None:
    here = LakeInOneFolder(tmp_path)
    for number in (1, 2):
        rows = [order(key, f"{number}", identifier=who) for key, who in (("a", "ada"), ("b", "bob"))]
        land_range(tmp_path, f"{'again-' if number > 1 else ''}v1-{number:06}", rows)
        here.ingest()
    assert rows_by_removing_batch(here.lake) == {2: 2}
    erase(here)
    assert rows_by_removing_batch(here.lake) == {2: 1}
    assert [len(visible_rows(here.lake, version)) for version in (1, 2)] == [1, 1]
    assert {row["identifier"] for row in stored(here.lake)} == {"bob", ""}


def test_erase__file_that_was_never_finished__goes(tmp_path: Path) -> None:
    here = LakeInOneFolder(tmp_path)
    fill(here)
    (left,) = {path.parent for path in (here.lake.folder / "events").rglob("month=2026-02/*.parquet")}
    (left / "batch-00000003-half.parquet").write_bytes(b"PAR1 ada")
    erase(here)
    assert not (left / "batch-00000003-half.parquet").exists()
