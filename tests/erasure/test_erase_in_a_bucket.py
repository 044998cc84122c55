"""`erase` where landing zone, lake, artifacts and tables are in a bucket: no object of it has a trace afterwards."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.lake.ingestion import LOCK
from experiment_pipeline.lake.lake import WRITING, Lake
from experiment_pipeline.settings import PREFIX
from experiment_pipeline.storage.object_path import ObjectPath
from tests.assets.conftest import MANIFEST, crowd, purchase
from tests.backup.conftest import Place
from tests.erasure.conftest import OTHER, PERSON, has_row, names_person, records
from tests.lake.ledger import stored

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
POINTS = [
    *(("begin_object", 1), ("erase_from_object", 2), ("write", 1), ("commit_rewrite", 1), ("commit_rewrite", 2)),
    *(("delete_old_files", 1), ("delete_old_files", 2), ("first_exposures", 2), ("complete", 1)),
]


class Bucket:
    """An installation whose parts are in a bucket, and whose registry is in its data directory."""

    def __init__(self, url: str, folder: Path) -> None:
        self.root = ObjectPath.of_url(url, folder)
        self.place = Place(folder / "data", environment={f"{PREFIX}STORAGE": url})
        manifest = folder / "experiments.yaml"
        manifest.write_text(MANIFEST)
        self.place.done("apply", manifest)
        self.land("20260301T010000.000000Z-crowd.jsonl", [*crowd(60, 60), *records(PERSON)])
        self.place.done("lake", "ingest")
        self.land("more.jsonl", [purchase(PERSON, 7, hours=3), *records(OTHER)])  # its arrival is the store's time
        self.place.done("lake", "ingest")
        self.place.done("lake", "compact", "--whole")
        self.place.done("refresh", "checkout")
        self.spool("20260301T000000.000001Z-0123456789abcdef.jsonl", ".open")
        self.spool("20260301T000000.000002Z-0123456789abcdef.jsonl", "events", "2026/03/01/00")

    def land(self, name: str, sent: list[dict[str, Any]]) -> None:
        path = self.root / "landing/events/env_key=prod/2026/03/01/00" / name
        path.write_text("".join(f"{json.dumps(each)}\n" for each in sent))

    def spool(self, name: str, above: str, below: str = "") -> None:
        """Leave an event of the person where a collector that died has left it on this machine."""
        path = self.place.data_dir / "spool" / above / "env_key=prod" / below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(purchase(PERSON, 8, hours=4)) + "\n")

    def let_a_minute_pass(self) -> None:
        """Let leases of a killed process end, and its temporary files be nobody's."""
        for lease in (LOCK, WRITING):
            (self.root / "lake" / lease).unlink(missing_ok=True)
        for path in (self.place.data_dir / "spill").rglob("*"):
            os.utime(path, (time.time() - 120,) * 2)

    def erase(self, *arguments: str) -> dict[str, Any]:
        (found,) = json.loads(self.place.done("erase", "--identifier", PERSON, "--yes", "--json", *arguments))[
            "environments"
        ]
        assert isinstance(found, dict)
        return found

    def traces(self) -> list[str]:
        """Return the objects, and the files of the data directory, that hold the person, by looking into each."""
        objects = [(str(each.path.relative_to(self.root)), each.path.read_bytes()) for each in self.root.below()]
        files = [(str(path), path.read_bytes()) for path in self.place.data_dir.rglob("*") if path.is_file()]
        return [
            name
            for name, content in [*objects, *files]
            if (has_row(content) if name.endswith(".parquet") else names_person(content))
        ]

    def events(self) -> Counter[str]:
        """Return how many events of each identity the lake has."""
        return Counter(row["identifier"] for row in stored(Lake(self.root / "lake")))


@pytest.fixture
def bucket(object_storage: str, tmp_path: Path) -> Bucket:
    return Bucket(object_storage, tmp_path)


def test_erase__of_a_bucket__leaves_no_trace_and_nothing_comes_back(bucket: Bucket) -> None:
    before, others = bucket.traces(), bucket.events()[OTHER]
    planned = bucket.erase("--dry-run")
    assert bucket.traces() == before
    held = {each["store"] for each in planned["stores"] if each["before"]["records"]}
    assert {"open segments", "landing objects", "lake, present version", "lake, files of older versions"} <= held
    assert {"rejected records", "first exposures"} <= held
    proof = bucket.erase()
    assert proof["remaining"] == 0
    assert bucket.traces() == []
    assert bucket.events()[OTHER] == others
    assert json.loads(bucket.place.done("lake", "status", "--json"))["changed"]["count"] == 0
    bucket.land("20260301T020000.000000Z-retry.jsonl", records(PERSON))
    report = json.loads(bucket.place.done("lake", "ingest", "--json"))
    assert (report["accepted"], report["erased"]) == (0, 4)
    bucket.place.done("refresh", "checkout", "--force")
    assert bucket.erase()["remaining"] == 0
    assert bucket.traces() == []


def test_erase__of_a_bucket__killed_again_and_again__is_finished_by_the_last(bucket: Bucket) -> None:
    others = bucket.events()[OTHER]
    for point, at in POINTS:
        command = [sys.executable, "-m", "tests.recovery.killed_erasure", str(bucket.place.data_dir), PERSON]
        variables = os.environ | {f"{PREFIX}STORAGE": str(bucket.root)}
        killed = subprocess.run([*command, point, str(at)], cwd=ROOT, check=False, env=variables)
        assert killed.returncode == -9, f"{point} {at} was never reached"
        bucket.let_a_minute_pass()
    assert bucket.erase()["remaining"] == 0
    assert bucket.traces() == []
    assert bucket.events()[OTHER] == others
