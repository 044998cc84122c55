"""What is told of compaction and of removed rows."""

from datetime import UTC, datetime

import pytest

from experiment_pipeline.cli.compaction import print_compaction, print_removed, removed_as_json
from experiment_pipeline.domain.removed_rows import RemovedRows
from experiment_pipeline.lake.dropping import Drop

HOLDERS = tuple(f"prod/experiment-{number}" for number in range(7))


def test_print_removed__that_experiments_hold_up__names_the_first_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_removed(RemovedRows(stored=9_000, held=9_000, held_by=HOLDERS))
    assert capsys.readouterr().out == (
        "9,000 removed events are stored.\n"
        "  9,000 stay until these experiments are refreshed, final or deleted: prod/experiment-0, prod/experiment-1, "
        "prod/experiment-2, prod/experiment-3, prod/experiment-4 and 2 more.\n"
    )


def test_print_removed__of_none__says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_removed(RemovedRows(stored=0))
    assert capsys.readouterr().out == ""


def test_removed_as_json__has_all_holders_and_the_moment() -> None:
    removed = RemovedRows(stored=3, due=1, held=1, held_by=HOLDERS, next_at=datetime(2026, 4, 1, tzinfo=UTC))
    assert removed_as_json(removed) == {
        "stored": 3,
        "due": 1,
        "held": 1,
        "held_by": list(HOLDERS),
        "next_at": "2026-04-01T00:00:00+00:00",
    }


def test_print_compaction__that_dropped_rows__says_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    print_compaction(
        [Drop("prod", "2026-02", 1_200, 3, 0, (), ()), Drop("prod", "links", 1, 3, 0, (), ())], [], dry_run=False
    )
    assert capsys.readouterr().out == "Dropped 1,201 removed events.\nMerged 0 files with 0 events into 0.\n"
