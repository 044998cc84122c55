"""Files of a source that are to be read: those that are new or have changed (rule D1)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from experiment_pipeline.domain.source_ranges import SourceFile, unread_files

FIRST = SourceFile("/exports/1.csv", 10, datetime(2026, 3, 2, tzinfo=UTC))
SECOND = SourceFile("/exports/2.csv", 10, datetime(2026, 3, 2, tzinfo=UTC))


def test_unread_files__new_ones__come_by_path() -> None:
    assert unread_files([SECOND, FIRST], []) == [FIRST, SECOND]


def test_unread_files__another_size_or_time__is_read_again() -> None:
    larger, later = replace(FIRST, bytes=11), replace(FIRST, modified_at=FIRST.modified_at + timedelta(microseconds=1))
    assert unread_files([larger, SECOND], [FIRST, SECOND]) == [larger]
    assert unread_files([later, SECOND], [FIRST, SECOND]) == [later]
    assert unread_files([FIRST, SECOND], [FIRST, SECOND]) == []
