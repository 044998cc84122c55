"""A backup that is restored is the same installation: results, lake and registry, to the byte."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.backup import restore as restoring
from experiment_pipeline.backup.create import create_backup
from experiment_pipeline.backup.files import CopiedFile, OnBytes, copy_file, digest_of
from experiment_pipeline.backup.manifest import LISTING, MANIFEST, read_manifest
from experiment_pipeline.backup.parts import Parts
from experiment_pipeline.domain.events import EPOCH
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.segments import recover
from experiment_pipeline.registry.registry import Registry
from tests.backup.conftest import MakePlace, Place

RESTORED = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


@pytest.mark.slow
@RESTORED
def test_backup__restored__is_the_same_to_the_byte_and_goes_on(
    place: Place, make_place: MakePlace, kind: str, tmp_path: Path
) -> None:
    before = place.shown()
    folder = tmp_path / "backup"
    told = place.done("backup", folder)
    assert "data version 2" in told
    assert place.shown() == before
    shutil.move(place.data_dir, tmp_path / "gone")
    for file in (folder / "landing").rglob("*"):
        os.utime(file, (0, 0))  # as some ways to another machine do
    restored = make_place("elsewhere/a folder", kind)
    assert "data version 2" in restored.done("restore", folder)
    assert restored.shown() == before
    assert list(restored.data_dir.glob(".restoring*")) == []
    assert recover(restored.data_dir / "landing") == 1
    ingested = restored.done("lake", "ingest")
    assert ingested.startswith("Batch 3: 2 objects, 76 new events, 225 duplicates"), ingested
    assert "Every landing object is ingested." in restored.done("lake", "status")


@pytest.mark.slow
def test_restore__of_claims_that_a_run_elsewhere_had_taken_on__frees_them(place: Place, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    registry = Registry.open(place.url or f"sqlite:///{place.data_dir / 'registry.sqlite'}")
    registry.claims.create(2, Computation.RESULTS, ClaimSource.API, now, timedelta(0))
    registry.runs.open(2, "a run that nobody knows here", now, timedelta(minutes=5))
    registry.close()
    place.done("backup", tmp_path / "backup")
    restored = Place(tmp_path / "restored")
    restored.done("restore", tmp_path / "backup")
    registry = Registry.open(f"sqlite:///{restored.data_dir / 'registry.sqlite'}")
    (claim,) = registry.claims.list_waiting(2)
    assert (claim.run_key, claim.served_by) == (None, None)
    registry.runs.open(2, "a run from here", now, timedelta(minutes=5))
    registry.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small installation and its backup, from which every test's own are copied."""
    folder = tmp_path_factory.mktemp("small")
    source = Place(folder / "source")
    manifest = folder / "experiments.yaml"
    manifest.write_text("environments: {prod: {}}")
    source.done("apply", manifest)
    source.land("first", 1, 1)
    source.done("lake", "ingest")
    source.done("backup", folder / "backup")
    return folder


@pytest.fixture
def backed_up(small: Path, tmp_path: Path) -> Path:
    """A small backup."""
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    return tmp_path / "backup"


def test_restore__begins_a_new_history_of_the_lake_since_artifacts_may_be_newer_than_it__i1(
    backed_up: Path, make_place: MakePlace, tmp_path: Path
) -> None:
    restored = make_place("restored", "sqlite")
    restored.done("restore", backed_up)
    histories = [
        Lake(folder / "lake").event_files("prod", Window(EPOCH, EPOCH)).history
        for folder in (tmp_path / "source", restored.data_dir)
    ]
    assert histories[1].startswith(f"{histories[0]} "), "of the same table, after a mark"


def change(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1] + b"!")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "file changed": (
        lambda folder: change(next((folder / "lake/events").rglob("*.parquet"))),
        "is not what was backed up",
    ),
    "file missing": (lambda folder: next((folder / "landing").rglob("*.jsonl")).unlink(), "damaged: landing/events"),
    "registry changed": (
        lambda folder: change(folder / "registry.sqlite"),
        "registry.sqlite is not what was backed up",
    ),
    "list changed": (lambda folder: change(folder / LISTING), "is not the list"),
    "list missing": (lambda folder: (folder / LISTING).unlink(), f"damaged: {LISTING} cannot be read"),
    "unfinished": (lambda folder: (folder / MANIFEST).unlink(), "no complete backup"),
    "no manifest": (lambda folder: (folder / MANIFEST).write_text("{"), "cannot be read"),
    "later format": (lambda folder: (folder / MANIFEST).write_text('{"format": 2}'), "not of format 1"),
    "folder missing": (shutil.rmtree, "no complete backup"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["restore", "dry run"])
def test_restore__of_a_damaged_backup__is_refused_by_name_and_makes_no_registry(
    backed_up: Path, tmp_path: Path, damage: str, options: tuple[str, ...]
) -> None:
    cause, message = DAMAGES[damage]
    cause(backed_up)
    refused = Place(tmp_path / "restored").run("restore", backed_up, *options)
    assert refused.exit_code == 1, refused.output
    assert message in refused.stderr
    assert not (tmp_path / "restored/registry.sqlite").exists()


def test_restore__of_a_list_that_leads_out_of_the_backup__is_refused(backed_up: Path, tmp_path: Path) -> None:
    listing = backed_up / LISTING
    fields = json.loads((backed_up / MANIFEST).read_text())
    for name, path in (("one", "../outside"), ("another", "/outside")):
        listing.write_text(json.dumps({"path": path, "bytes": 0, "sha256": "", "modified_ns": 0}) + "\n")
        fields["listing"] = digest_of(listing)
        (backed_up / MANIFEST).write_text(json.dumps(fields))
        refused = Place(tmp_path / name).run("restore", backed_up)
        assert f"{path!r} leads out of the backup" in refused.stderr


def test_restore__to_what_is_not_empty__is_refused_and_changes_nothing(backed_up: Path, tmp_path: Path) -> None:
    used = Place(tmp_path / "used")
    used.land("mine", 1, 1)
    before = sorted(used.data_dir.rglob("*"))
    refused = used.run("restore", backed_up)
    assert refused.exit_code == 1
    assert "is not empty" in refused.stderr
    assert sorted(used.data_dir.rglob("*")) == before


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["backup", "dry run"])
def test_backup__to_a_folder_in_use_or_within__is_refused(
    backed_up: Path, make_place: MakePlace, options: tuple[str, ...]
) -> None:
    source = make_place("source", "sqlite")
    before = (backed_up / MANIFEST).read_bytes()
    assert "is not empty" in source.run("backup", backed_up, *options).stderr
    assert (backed_up / MANIFEST).read_bytes() == before
    assert "must lie outside" in source.run("backup", source.data_dir / "backup", *options).stderr


def test_dry_runs__tell_and_change_nothing(backed_up: Path, make_place: MakePlace, tmp_path: Path) -> None:
    source = make_place("source", "sqlite")
    told = source.done("backup", tmp_path / "another", "--dry-run")
    assert "landing: 1 files" in told
    assert "lake: " in told
    assert json.loads(source.done("backup", tmp_path / "another", "--dry-run", "--json"))["folders"]["landing"][0] == 1
    assert not (tmp_path / "another").exists()
    told = Place(tmp_path / "restored").done("restore", backed_up, "--dry-run")
    assert "is whole" in told
    assert (
        json.loads(Place(tmp_path / "restored").done("restore", backed_up, "--dry-run", "--json"))["data_version"] == 1
    )
    assert not (tmp_path / "restored").exists()


@pytest.mark.slow
@RESTORED
def test_restore__interrupted_at_any_file__goes_on_when_it_is_repeated(
    backed_up: Path, make_place: MakePlace, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored, files = make_place("restored", kind), read_manifest(backed_up).files

    def dying(at: int) -> Callable[[Path, Path, str, OnBytes], CopiedFile]:
        left = at

        def copy(source: Path, target: Path, path: str, on_bytes: OnBytes) -> CopiedFile:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return copy_file(source, target, path, on_bytes)

        return copy

    for at in range(files):
        monkeypatch.setattr(restoring, "copy_file", dying(at))
        assert restored.run("restore", backed_up).exit_code != 0
        if kind == "sqlite":
            assert "No registry at" in restored.run("lake", "status").stderr
    monkeypatch.setattr(restoring, "copy_file", copy_file)
    restored.done("restore", backed_up)
    assert "Data version 1." in restored.done("lake", "status")


def test_backup__of_an_installation_that_goes_on_meanwhile__is_of_one_moment(
    make_place: MakePlace, tmp_path: Path
) -> None:
    """A batch is ingested and files are merged while the files are copied."""
    source = make_place("source", "sqlite")
    manifest = tmp_path / "experiments.yaml"
    manifest.write_text("environments: {prod: {}}")
    source.done("apply", manifest)
    for name in ("first", "second", "third"):
        source.land(name, 3, 3)
        source.done("lake", "ingest")
    before, copied = source.done("lake", "status"), 0

    def go_on(_: int) -> None:
        nonlocal copied
        copied += 1
        if copied == 1:  # the registry and the lake's versions are fixed by now
            source.land("meanwhile", 5, 5)
            source.done("lake", "ingest")
            source.done("lake", "compact", "--whole")

    registry = Registry.open(f"sqlite:///{source.data_dir / 'registry.sqlite'}")
    parts = Parts(Lake(source.data_dir / "lake"), source.data_dir / "landing", source.data_dir / "artifacts")
    assert create_backup(parts, registry.engine, tmp_path / "backup", go_on).data_version == 3
    registry.close()
    assert "Data version 4." in source.done("lake", "status")
    restored = Place(tmp_path / "restored")
    restored.done("restore", tmp_path / "backup")
    waiting = "There are landing objects to ingest."
    assert restored.done("lake", "status") == before.replace("Every landing object is ingested.", waiting)
    assert restored.done("lake", "ingest").startswith("Batch 4: 1 objects, 6 new events, 10 duplicates")
