"""An installation in which a person's records lie in every store, and the search for them by hand."""

import gzip
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiment_pipeline.domain.erasures import identity_hash_of
from experiment_pipeline.registry.engine import to_json
from tests.assets.conftest import MANIFEST, crowd, exposure, purchase
from tests.backup.conftest import Place

PERSON = "person-4711"
OTHER = "person-47110"
LINKED = "device-1"


def records(identifier: str) -> list[dict[str, Any]]:
    """An exposure, an order, a link and a bad record of one identity."""
    link = {"event": "$identity_link", "identifier": LINKED, "value": identifier, "timestamp": "2026-03-01T03:00:00Z"}
    return [exposure(identifier, "b"), purchase(identifier, 5), link, purchase(identifier, 6) | {"timestamp": "x"}]


@dataclass(frozen=True)
class Erasable:
    """The installation."""

    place: Place

    @property
    def data_dir(self) -> Path:
        return self.place.data_dir

    def land(self, name: str, records: list[dict[str, Any]]) -> Path:
        folder = self.data_dir / "landing/events/env_key=prod/2026/03/01/00"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{name}"
        text = "".join(f"{json.dumps(each)}\n" for each in records).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    def erase(self, *arguments: str) -> dict[str, Any]:
        """Erase the person, and return the proof of the one environment."""
        printed = self.place.done("erase", "--identifier", PERSON, "--yes", "--json", *arguments)
        (environment,) = json.loads(printed)["environments"]
        assert isinstance(environment, dict)
        return environment

    def traces(self) -> list[str]:
        """Return the files that hold the person's identifier, or a row of its hash, by looking into each of them."""
        return sorted({path.relative_to(self.data_dir).as_posix() for path in self._holders()})

    def _holders(self) -> Iterator[Path]:
        for path in self.data_dir.rglob("*"):
            if not path.is_file():
                continue
            if path.suffix == ".parquet":
                if has_row(path.read_bytes()):
                    yield path
                continue
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            if names_person(content):
                yield path

    def plant_texts(self) -> None:
        """Name the person in texts that may quote a record: the registry's, Dagster's history, and a run's log."""
        quoted = f"The record of {PERSON} cannot be read."
        with closing(sqlite3.connect(self.data_dir / "registry.sqlite")) as registry:
            ((findings,),) = registry.execute("select findings from health limit 1").fetchall()
            told = [each | {"detail": quoted} for each in json.loads(findings)]
            registry.execute("update health set findings = ?", (to_json(told),))
            registry.execute(
                "update experiments set audience = ?", (to_json({"exclude_identifiers": [PERSON, "nobody"]}),)
            )
            registry.commit()
        history = next((self.data_dir / "dagster/history/runs").glob("*-*.db"))
        with closing(sqlite3.connect(history)) as events:
            ((number, event),) = events.execute("select id, event from event_logs limit 1").fetchall()
            told = json.loads(event) | {"user_message": quoted}
            events.execute("update event_logs set event = ? where id = ?", (json.dumps(told), number))
            events.commit()
        log = self.data_dir / "dagster/storage/a-run/compute_logs/step.err"
        log.parent.mkdir(parents=True)
        log.write_text(f"before\n{quoted}\nafter\n")


def names_person(content: bytes) -> bool:
    """Return whether the content of a file names the person."""
    return PERSON.encode() in content.replace(OTHER.encode(), b"")


def has_row(content: bytes) -> bool:
    """Return whether a Parquet file names the person, or has a row of the hash."""
    rows = pl.read_parquet(content, hive_partitioning=False, glob=False)
    texts = (column for column in rows.select(pl.col(pl.String)) if column.str.contains(f"{PERSON}([^0-9]|$)").any())
    has_hash = "identity_hash" in rows.columns and bool((rows["identity_hash"] == identity_hash_of(PERSON)).any())
    return has_hash or any(True for _ in texts)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an installation, to be copied: it is made once."""
    folder = tmp_path_factory.mktemp("erasable")
    here = Erasable(Place(folder / "data"))
    manifest = folder / "experiments.yaml"
    manifest.write_text(MANIFEST)
    here.place.done("apply", manifest)
    here.land("crowd.jsonl", [*crowd(60, 60), *records(PERSON)])
    here.place.done("lake", "ingest")
    here.land("more.jsonl.gz", [purchase(PERSON, 7, hours=3), *records(OTHER)])
    here.place.done("lake", "ingest")
    here.place.done("lake", "compact", "--whole")
    here.place.done("refresh", "checkout")
    segment = here.data_dir / "landing/.open/env_key=prod/20260301T000000.000001Z-0123456789abcdef.jsonl"
    segment.parent.mkdir(parents=True)
    segment.write_text(json.dumps(purchase(PERSON, 8, hours=4)) + "\n")
    here.plant_texts()
    return here.data_dir


@pytest.fixture
def here(filled: Path, tmp_path: Path) -> Erasable:
    """A copy of the installation."""
    shutil.copytree(filled, tmp_path / "data")
    return Erasable(Place(tmp_path / "data"))
