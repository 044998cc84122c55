"""Profiles of pulls: counts of real rows that a pull reads, with bounded memory (rule D4)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.sources import Source, SourceDraft
from experiment_pipeline.sources import row_profile
from experiment_pipeline.sources.file_rows import FileRows
from experiment_pipeline.sources.pull import row_records
from experiment_pipeline.sources.row_profile import RowProfile

AT = datetime(2026, 1, 5, 10, tzinfo=UTC)
AS = {"event": "purchased", "identifier": "user", "timestamp": "at", "value": "amount"}


def profile(folder: Path, columns: Mapping[str, Any], **changes: Any) -> RowProfile:
    """The profile of a pull of one Parquet file."""
    draft = adapter(SourceDraft).validate_python({"as": AS, "files": "x", **changes})
    fields = {name: getattr(draft, name) for name in SourceDraft.__slots__}
    source = Source(key="orders", environment_key="prod", version=1, **fields)
    pl.DataFrame(columns).write_parquet(folder / "rows.parquet")
    found, records = RowProfile(source), row_records(source)
    frames: Iterator[pl.DataFrame] = records.of(
        found.watch_rows(FileRows([folder / "rows.parquet"]), records), lambda _: None
    )
    assert sum(frame.height for frame in found.watch_records(frames)) >= 0
    return found


def test_profile__columns_rows_and_times__are_those_that_were_read(tmp_path: Path) -> None:
    at = [AT, AT - timedelta(days=2), datetime.now(UTC) + timedelta(days=1)]
    found = profile(tmp_path, {"user": ["1", "2", "3"], "at": at, "amount": [1.0, 2.0, None]})
    assert list(found.columns) == ["user", "at", "amount"]
    assert found.columns["amount"] == "numbers"
    assert (found.rows, found.oldest, found.newest) == (3, AT - timedelta(days=2), AT)
    assert (found.repeated, dict(found.nulls)) == (0, {})


def test_profile__text_times_with_an_offset__are_moments(tmp_path: Path) -> None:
    times = ["2026-01-05T12:00:00+02:00", "2026-01-05T11:00:00.5Z", "yesterday"]
    found = profile(tmp_path, {"user": ["1", "2", "3"], "at": times, "amount": [1, 2, 3]})
    assert (found.oldest, found.newest) == (AT, AT + timedelta(hours=1, milliseconds=500))
    assert (found.judged, dict(found.rejected)) == (3, {"bad_timestamp": 1})


def test_profile__equal_rows__are_repeated_where_there_is_no_event_id(tmp_path: Path) -> None:
    rows = {"user": ["1", "1", "1"], "at": [AT] * 3, "amount": [1, 1, 2], "loaded": [1, 2, 3]}
    assert profile(tmp_path, rows).repeated == 1


def test_profile__event_ids__repeat_alone_and_not_where_they_are_empty(tmp_path: Path) -> None:
    rows = {"user": ["1"] * 5, "at": [AT] * 5, "amount": [1, 2, 3, 4, 5], "number": [7, 7, 7, None, None]}
    found = profile(tmp_path, rows, **{"as": {**AS, "event_id": "number"}})
    assert (found.repeated, found.examined) == (2, 3)


def test_profile__rows_that_supersede__may_repeat_an_event_id(tmp_path: Path) -> None:
    rows = {"user": ["1"] * 3, "at": [AT] * 3, "amount": [1] * 3, "number": [7] * 3, "loaded": [1, 2, 2]}
    latest = {"rows": "latest", "cursor": {"column": "loaded"}, "as": {**AS, "event_id": "number"}}
    assert profile(tmp_path, rows, **latest).repeated == 1


def test_profile__many_rows__are_examined_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_profile, "EXAMINED_ROWS", 3)
    monkeypatch.setattr(row_profile, "JUDGED_ROWS", 2)
    found = profile(tmp_path, {"user": ["1"] * 5, "at": [AT] * 5, "amount": [1] * 5})
    assert (found.rows, found.examined, found.repeated, found.judged) == (5, 3, 2, 2)


def test_profile__empty_cells__are_counted_by_column(tmp_path: Path) -> None:
    rows = {"user": ["1", None], "at": [AT, None], "amount": [None, None]}
    assert dict(profile(tmp_path, rows).nulls) == {"at": 1, "user": 1}
