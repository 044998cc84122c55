"""Expiry of the landing zone: what may go, goes, and nothing else."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from experiment_pipeline.domain.batches import IngestedFile
from experiment_pipeline.landing.expiry import Removed, StoredObjects, remove_stored
from experiment_pipeline.landing.listing import modified_at

BEFORE = datetime(2026, 3, 2, 12, tzinfo=UTC)
OLD_HOUR = "events/env_key=prod/2026/03/02/11"
PRESENT_HOUR = "events/env_key=prod/2026/03/02/12"


def land(landing: Path, name: str, content: str = "{}\n") -> Path:
    path = landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def all_of(*names: str, written_at: datetime | None = None) -> StoredObjects:
    """A ledger that has stored these objects, of three bytes each."""

    def stored(asked: Sequence[str]) -> Mapping[str, IngestedFile]:
        return {name: IngestedFile(3, written_at, 1, 1) for name in asked if name in names}

    return stored


def left(landing: Path) -> list[str]:
    return sorted(path.relative_to(landing).as_posix() for path in landing.rglob("*") if not path.is_dir())


def test_remove_stored__of_two_objects__removes_the_one_that_is_in_the_lake(tmp_path: Path) -> None:
    land(tmp_path, f"{OLD_HOUR}/stored.jsonl")
    land(tmp_path, f"{OLD_HOUR}/waits.jsonl")
    removed = remove_stored(tmp_path, all_of(f"{OLD_HOUR}/stored.jsonl"), BEFORE)
    assert removed == Removed(objects=1, bytes=3)
    assert left(tmp_path) == [f"{OLD_HOUR}/waits.jsonl"]


def test_remove_stored__object_that_is_another_one_now__stays(tmp_path: Path) -> None:
    land(tmp_path, f"{OLD_HOUR}/stored.jsonl", "{}\n{}\n")
    assert remove_stored(tmp_path, all_of(f"{OLD_HOUR}/stored.jsonl"), BEFORE) == Removed()
    assert left(tmp_path) == [f"{OLD_HOUR}/stored.jsonl"]


def test_remove_stored__object_that_was_written_anew_with_the_same_size__stays(tmp_path: Path) -> None:
    name = f"{OLD_HOUR}/stored.jsonl"
    path = land(tmp_path, name)
    written_at = modified_at(path.stat())
    os.utime(path, (BEFORE.timestamp(), BEFORE.timestamp()))
    assert remove_stored(tmp_path, all_of(name, written_at=written_at), BEFORE) == Removed()
    assert remove_stored(tmp_path, all_of(name, written_at=BEFORE), BEFORE).objects == 1


def test_remove_stored__behind_links__stays_for_its_owner(tmp_path: Path) -> None:
    archive, landing = tmp_path / "archive", tmp_path / "landing"
    file = land(archive, "day/mine.jsonl")
    (landing / OLD_HOUR).mkdir(parents=True)
    (landing / OLD_HOUR / "link.jsonl").symlink_to(file)
    (landing / "events/env_key=prod/archived").symlink_to(archive / "day", target_is_directory=True)
    names = (f"{OLD_HOUR}/link.jsonl", "events/env_key=prod/archived/mine.jsonl")
    assert remove_stored(landing, all_of(*names), BEFORE) == Removed()
    assert file.exists()


def test_remove_stored__landing_zone_that_is_a_link__is_gone_into(tmp_path: Path) -> None:
    land(tmp_path / "disk", f"{OLD_HOUR}/stored.jsonl")
    (tmp_path / "landing").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert remove_stored(tmp_path / "landing", all_of(f"{OLD_HOUR}/stored.jsonl"), BEFORE).objects == 1
    assert left(tmp_path / "disk") == []


def test_remove_stored__last_of_a_past_hour__removes_its_folder_and_no_other(tmp_path: Path) -> None:
    land(tmp_path, "events/env_key=prod/2026/02/28/23/stored.jsonl")
    land(tmp_path, f"{OLD_HOUR}/stored.jsonl")
    land(tmp_path, f"{PRESENT_HOUR}/stored.jsonl")
    (tmp_path / "events/env_key=prod/mine/2020").mkdir(parents=True)
    stored = all_of(
        "events/env_key=prod/2026/02/28/23/stored.jsonl", f"{OLD_HOUR}/stored.jsonl", f"{PRESENT_HOUR}/stored.jsonl"
    )
    assert remove_stored(tmp_path, stored, BEFORE) == Removed(objects=3, bytes=9, folders=4)
    folders = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert not any(folder.startswith("events/env_key=prod/2026/02") for folder in folders)
    assert OLD_HOUR not in folders
    assert {PRESENT_HOUR, "events/env_key=prod/mine/2020"} <= folders
