"""`warehouse results | explain`: an experiment's results where its events lie, on a real PostgreSQL."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from experiment_pipeline.warehouse.ibis.statements import statement
from tests.cli.conftest import Run, declared, manifest, run
from tests.lake.ledger import land
from tests.postgres_server import postgres_server

__all__ = ["declared", "manifest", "run"]
VARIABLE = "SHOP_DATABASE_URL"


@pytest.fixture(scope="module")
def shop_url() -> Iterator[str]:
    with postgres_server() as server:
        yield server.url


def test_results__in_place__equal_those_of_the_embedded_engine(
    declared: Run, shop_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(1)
    records: list[tuple[str, str | None, str, str, datetime]] = []
    started_at = datetime.fromisoformat(
        json.loads(declared("experiments", "show", "checkout", "--json").stdout)["started_at"]
    )
    at = started_at + timedelta(milliseconds=1)
    for number in range(400):
        variant = ("control", "larger")[number % 2]
        records.append(("$flag_exposure", "checkout_button", str(number), variant, at))
        if drawn.random() < (0.3 if variant == "control" else 0.5):
            records.append(("purchase", None, str(number), "1", at))
    with psycopg.connect(shop_url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(statement("postgres", "table").encode())
        cursor.executemany(
            "insert into events (environment_key, event, feature_name, identifier, value, timestamp, loaded_at)"
            " values ('production', %s, %s, %s, %s, %s, %s)",
            [(*each, at - timedelta(minutes=6)) for each in records],
        )
    monkeypatch.setenv(VARIABLE, shop_url)
    ran = declared("warehouse", "results", "checkout", "--url-env", VARIABLE)
    assert ran.exit_code == 0, ran.output
    in_place = json.loads(ran.stdout)
    assert (in_place["engine"], in_place["cost"]["statements"]) == ("postgres", 5)
    assert in_place["exposures"]["excluded_identities"] == 0
    lines = [_record(*each) for each in records]
    land(tmp_path / "data" / "landing", lines, "a.jsonl", "production")
    assert declared("lake", "ingest").exit_code == 0
    now = datetime.now(UTC).isoformat()  # the rows that are in the lake by now
    replayed = declared("replay", "checkout", "--as-of", now, "--json")
    assert replayed.exit_code == 0, replayed.output
    embedded = json.loads(replayed.stdout)["results"]["metrics"]
    for ours, theirs in zip(in_place["results"]["metrics"], embedded, strict=True):
        for arm, aggregates in theirs["variants"].items():
            assert ours["variants"][arm] == pytest.approx(aggregates, rel=1e-12)
            assert (ours["variants"][arm]["n"], ours["variants"][arm]["sum"]) == (aggregates["n"], aggregates["sum"])
        assert ours["effect"]["larger"] == pytest.approx(theirs["effect"]["larger"], rel=1e-9)
        assert ours["verdict"] == theirs["verdict"]
    explained = declared("warehouse", "explain", "checkout", "--url-env", VARIABLE)
    assert "INNER JOIN" in explained.stdout
    assert "-- plan of moments" in explained.stdout


def _record(event: str, feature: str | None, identifier: str, value: str, at: datetime) -> dict[str, object]:
    named = {} if feature is None else {"feature_name": feature}
    milliseconds = round(at.astimezone(UTC).timestamp() * 1000)
    return {"event": event, "identifier": identifier, "value": value, "timestamp": milliseconds, **named}
