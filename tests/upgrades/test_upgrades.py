"""Data directories of earlier releases: migrated, read, refreshed, ingested into, and backed up by this code.

data/schema-0001.tar.xz is the demo of the first release, with an eighth of its identities; the registry of the other is
the newest that was packed by make_data_directory.py.
"""

import json
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.registry.engine import head_revision
from experiment_pipeline.registry.tables import VERSION_TABLE
from tests.backup.conftest import Place
from tests.upgrades.make_data_directory import DATA

ARCHIVES = sorted(DATA.glob("*.tar.xz"))
MOST_BYTES = 2_000_000
RUNNING = "product_page_layout"
# What releases since have added to a results payload stands beside the old members, whose values stay.
Payloads = dict[tuple[str, str], Any]


@dataclass(frozen=True)
class Upgraded:
    """A data directory of an earlier release after the first command of this one.

    Attributes:
        before: the payloads as they were stored, by the experiment's key and the computation.
        revision: of the registry's schema before.
    """

    place: Place
    before: Payloads
    revision: str
    status: str = field(repr=False)


def _payloads(registry: Path) -> Payloads:
    read = (
        "select key, computation, payload from computations join experiments on experiments.id = experiment_id "
        "where payload is not null"
    )
    with closing(sqlite3.connect(registry)) as database:
        return {(key, computation): json.loads(payload) for key, computation, payload in database.execute(read)}


def _revision(registry: Path) -> str:
    with closing(sqlite3.connect(registry)) as database:
        return str(database.execute(f"select version_num from {VERSION_TABLE}").fetchone()[0])  # noqa: S608


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Upgraded:
    data_dir = tmp_path_factory.mktemp("upgraded") / "data"
    with tarfile.open(request.param) as archive:
        archive.extractall(data_dir, filter="data")
    registry = data_dir / "registry.sqlite"
    before, revision = _payloads(registry), _revision(registry)
    place = Place(data_dir)
    return Upgraded(place, before, revision, place.done("lake", "status"))


def _results(place: Place, key: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(place.done("results", key, "--json"))
    return shown


def test_archives__are_small__and_one_is_of_the_first_release() -> None:
    assert "schema-0001.tar.xz" in [path.name for path in ARCHIVES]
    assert len(ARCHIVES) > 1
    assert [path.name for path in ARCHIVES if path.stat().st_size > MOST_BYTES] == []


@pytest.mark.slow
def test_earlier_release__first_command__migrates_its_registry_and_finds_its_lake_sound(upgraded: Upgraded) -> None:
    assert _revision(upgraded.place.data_dir / "registry.sqlite") == head_revision() >= upgraded.revision
    assert "Every landing object is ingested." in upgraded.status


@pytest.mark.slow
def test_earlier_release__payloads__are_read_as_they_were_published(upgraded: Upgraded) -> None:
    keys = {key for key, _ in upgraded.before}
    assert len(keys) == 5
    for key in keys:
        shown = _results(upgraded.place, key)
        for computation in ("exposures", "results"):
            assert shown[computation]["payload"] == upgraded.before[key, computation]


@pytest.mark.slow
def test_earlier_release__running_experiment__is_refreshed_to_the_same_counts(upgraded: Upgraded) -> None:
    published = upgraded.before[RUNNING, "results"]
    upgraded.place.done("refresh", RUNNING, "--force")
    shown = _results(upgraded.place, RUNNING)
    refreshed = shown["results"]["payload"]
    before, after = (
        {key: arm["n"] for key, arm in payload["metrics"][0]["variants"].items()} for payload in (published, refreshed)
    )
    assert sum(after.values()) > 100
    assert after == before
    assert (
        shown["exposures"]["payload"]["excluded_identities"]
        == (upgraded.before[RUNNING, "exposures"]["excluded_identities"])
    )


@pytest.mark.slow
def test_earlier_release__new_events__are_ingested_beside_the_old(upgraded: Upgraded) -> None:
    place = upgraded.place
    folder = place.data_dir / "landing/events/env_key=demo/2026/03/01/00"
    folder.mkdir(parents=True)
    record = {"event": "purchase", "identifier": "newcomer", "timestamp": "2026-03-01T00:00:00Z", "value": 1}
    lines = [json.dumps(record), json.dumps(record), "{"]
    (folder / "20260301T000000Z-later.jsonl").write_text("\n".join(lines) + "\n")
    report = json.loads(place.done("lake", "ingest", "--json"))
    assert (report["accepted"], report["duplicates"], report["rejected"]) == (1, 1, {"not_json": 1})
    place.done("lake", "compact", "--whole")
    assert "Every landing object is ingested." in place.done("lake", "status")


@pytest.mark.slow
def test_earlier_release__backup_and_restore__have_all_of_it(upgraded: Upgraded, tmp_path: Path) -> None:
    upgraded.place.done("backup", tmp_path / "backup")
    restored = Place(tmp_path / "restored")
    restored.done("restore", tmp_path / "backup")
    for key in {key for key, _ in upgraded.before}:
        assert _results(restored, key) == _results(upgraded.place, key)
