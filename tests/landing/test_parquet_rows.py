"""Parquet objects are judged as the JSON lines that they stand for."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from tests.lake.ledger import NOW, MemoryLedger, exposure, land, record, stored

MOMENT = datetime(2026, 2, 25, 6, 13, 20, 123_000, tzinfo=UTC)


def test_rows_and_lines_of_the_same_records_are_the_same_events(tmp_path: Path) -> None:
    lines = [record(), exposure(), record(identifier="名前", value=None, traits=None, metadata={"a": [1, {"b": "ü"}]})]
    land(tmp_path, lines, "lines.jsonl")
    path = land(tmp_path, b"", "rows.parquet")
    rows = [line | {"traits": None, "metadata": '{"x": 1}'} for line in lines]
    pl.DataFrame(rows, schema_overrides={"traits": pl.String}).write_parquet(path)
    report = ingest(Lake(tmp_path / "lake"), MemoryLedger(), tmp_path, NOW)
    assert (report.accepted, report.duplicates, report.rejected, report.problems) == (3, 3, {}, {})


@pytest.mark.parametrize(
    "dtype", [pl.Datetime("us", "UTC"), pl.Datetime("ns", "UTC"), pl.Datetime("ms", "Europe/Berlin")]
)
def test_times_of_every_kind_are_utc_milliseconds(tmp_path: Path, dtype: pl.Datetime) -> None:
    path = land(tmp_path, b"", "rows.parquet")
    moment = pl.Series([MOMENT]).cast(dtype)
    frame = pl.DataFrame({"event": ["x"], "identifier": ["ada"], "timestamp": moment, "value": [1.5]})
    frame.with_columns(traits=pl.struct(plan=pl.lit("pro"))).write_parquet(path)
    lake = Lake(tmp_path / "lake")
    assert ingest(lake, MemoryLedger(), tmp_path, NOW).accepted == 1
    (row,) = stored(lake)
    assert (row["timestamp"], row["numeric_value"], row["traits"]) == (MOMENT, 1.5, '{"plan":"pro"}')


def test_bad_rows_are_rejected_by_their_number_and_bad_files_are_marked(tmp_path: Path) -> None:
    path = land(tmp_path, b"", "a.parquet")
    columns = {"event": ["x", "", None], "identifier": ["ada"] * 3, "timestamp": [1_772_000_000_000] * 3}
    pl.DataFrame({**columns, "traits": ["{broken", None, None]}).write_parquet(path)
    land(tmp_path, b"PAR1 it is not", "b.parquet")
    pl.DataFrame(columns).clear().write_parquet(land(tmp_path, b"", "c.parquet"))
    pl.DataFrame({"other": [1]}).write_parquet(land(tmp_path, b"", "d.parquet"))
    lake = Lake(tmp_path / "lake")
    report = ingest(lake, MemoryLedger(), tmp_path, NOW)
    assert {name[-9:]: problem for name, problem in report.problems.items()} == {
        "b.parquet": "not_parquet",
        "c.parquet": "empty",
        "d.parquet": "missing_columns: it lacks event, identifier, timestamp; it has other",
    }
    rows = {(row["object"][-9:], row["line"]): row["reason"] for row in stored(lake, "rejected")}
    assert rows == {
        ("a.parquet", 1): "not_json",
        ("a.parquet", 2): "empty:event",
        ("a.parquet", 3): "missing_field:event",
        ("d.parquet", 1): "missing_field:event",
    }
