"""`erase`: a person's records are in no store afterwards, and do not come back (rule E6)."""

import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.landing.writer import SegmentWriter
from experiment_pipeline.registry.registry import Registry
from tests.assets.conftest import exposure, purchase
from tests.erasure.conftest import LINKED, OTHER, PERSON, Erasable, records

pytestmark = pytest.mark.slow
HOLDING = {
    "open segments",
    "landing objects",
    "rejected records",
    "lake, present version",
    "lake, files of older versions",
    "first exposures",
    "registry",
    "Dagster's history",
    "logs of runs",
}


def found(proof: dict[str, Any], moment: str = "before") -> dict[str, int]:
    return {each["store"]: each[moment]["records"] for each in proof["stores"] if each[moment]["records"]}


def analysed(here: Erasable) -> int:
    payload = json.loads(here.place.done("results", "checkout", "--json"))["results"]["payload"]
    return sum(payload["srm"]["identities"].values())


def test_dry_run__counts_what_every_store_holds_and_changes_nothing(here: Erasable) -> None:
    before = here.traces()
    proof = here.erase("--dry-run")
    assert proof["linked"] == [LINKED]
    assert set(found(proof)) - {"temporary files"} == HOLDING
    assert here.traces() == before
    assert "erase" not in here.place.done("audit", "list", "--json")


def test_erase__then_no_file_has_a_trace_and_other_people_stay(here: Erasable) -> None:
    assert len(here.traces()) > 8
    others = here.place.done("erase", "--identifier", OTHER, "--dry-run", "--json")
    proof = here.erase()
    assert proof["remaining"] == 0
    assert found(proof, "after") == {}
    assert here.traces() == []
    kept = found(json.loads(others)["environments"][0])
    now = found(json.loads(here.place.done("erase", "--identifier", OTHER, "--dry-run", "--json"))["environments"][0])
    kept.pop("lake, files of older versions", None)
    now.pop("lake, files of older versions", None)
    assert kept == now != {}


def test_erase__audit_log__says_what_was_erased_and_not_of_whom(here: Erasable) -> None:
    here.erase()
    (line,) = json.loads(here.place.done("audit", "list", "--json", "--action", "erase"))
    assert line["subject"] == "erasure:1"
    assert line["after"]["landing objects"] > 0
    assert PERSON not in json.dumps(line)


def test_erase__running_experiment__counts_one_fewer_and_its_next_look_says_erased(here: Erasable) -> None:
    before = analysed(here)
    here.erase()
    assert analysed(here) == before  # the published payload stays
    here.place.done("refresh", "checkout", "--force")
    assert analysed(here) == before - 1
    look = json.loads(here.place.done("results", "checkout", "--json"))["results"]["payload"]["look"]
    assert (look["restated"]["erased"], look["restated"]["newly_quarantined"]) == (1, 0)
    replayed = json.loads(here.place.run("replay", "checkout", "--json").stdout)
    assert {each["number"]: each["erased"] for each in replayed} == {1: 1, 2: 0}
    here.place.done("refresh", "checkout", "--force")
    look = json.loads(here.place.done("results", "checkout", "--json"))["results"]["payload"]["look"]
    assert look["restated"]["erased"] == 0


def test_erase__landing_objects__are_known_as_they_are_now(here: Erasable) -> None:
    assert json.loads(here.place.done("lake", "status", "--json"))["changed"]["count"] == 0
    here.erase()
    status = json.loads(here.place.done("lake", "status", "--json"))
    assert status["changed"]["count"] == 0


def test_erase__retry_of_a_sender__brings_nothing_back_and_what_is_dated_later_stays(here: Erasable) -> None:
    here.erase()
    now = datetime.now(UTC).isoformat()
    here.land("retry.jsonl", [*records(PERSON), exposure(PERSON, "b") | {"timestamp": now}, purchase(OTHER, 9)])
    report = json.loads(here.place.done("lake", "ingest", "--json"))
    assert (report["accepted"], report["erased"]) == (2, 3)
    proof = here.erase()
    assert found(proof)["lake, present version"] == 1
    assert here.traces() == []


def test_erase__lake_that_is_lost__comes_back_without_the_person(here: Erasable) -> None:
    here.erase()
    here.land("retry.jsonl", records(PERSON))
    here.place.done("lake", "ingest")
    (here.data_dir / "lake").rename(here.data_dir / "lost")
    here.place.done("lake", "repair")
    proof = here.erase("--dry-run")
    assert not {"lake, present version", "lake, files of older versions"} & set(found(proof))


def test_erase__damaged_object__is_named_and_the_erasure_stays_open(here: Erasable) -> None:
    path = here.land("damaged.jsonl.gz", records(OTHER))
    path.write_bytes(path.read_bytes()[:-20])
    refused = here.place.run("erase", "--identifier", PERSON, "--yes")
    assert refused.exit_code == 1
    assert path.name in refused.stderr
    path.unlink()
    assert here.erase()["remaining"] == 0


def test_erase__without_a_terminal__asks_for_yes(here: Erasable) -> None:
    refused = here.place.run("erase", "--identifier", PERSON)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert here.traces() != []


def test_erase__beside_a_living_collector_and_ingestion__leaves_nothing_and_loses_nothing(here: Erasable) -> None:
    landing = here.data_dir / "landing"
    writer = SegmentWriter(landing, object_bytes=1 << 20, object_age=timedelta(milliseconds=200), buffer_bytes=1 << 20)
    stopped, collected = threading.Event(), list[int]()

    def collect_and_ingest() -> None:
        number = 0
        while not stopped.is_set():
            record = purchase(f"newcomer-{number}", 1) | {"timestamp": datetime.now(UTC).isoformat()}
            writer.append("prod", f"{json.dumps(record)}\n".encode()).result()
            number += 1
            with closing(Registry.open(f"sqlite:///{here.data_dir / 'registry.sqlite'}")) as registry:
                ingest(Lake(here.data_dir / "lake", threads=1), registry.batches, landing, datetime.now(UTC))
        collected.append(number)

    writer.append("prod", f"{json.dumps(purchase(PERSON, 9, hours=5))}\n".encode()).result()
    beside = threading.Thread(target=collect_and_ingest)
    beside.start()
    try:
        proof = here.erase()
    finally:
        stopped.set()
        beside.join()
        writer.close()
    assert found(proof)["open segments"] >= 1
    here.place.done("lake", "ingest")
    assert here.traces() == []
    stored = pl.read_parquet(DeltaTable(here.data_dir / "lake/events").file_uris(), hive_partitioning=False)
    (appended,) = collected
    assert stored["identifier"].str.starts_with("newcomer-").sum() == appended
