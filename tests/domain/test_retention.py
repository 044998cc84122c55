"""What an environment keeps, and what an experiment still needs of it (rule X8)."""

from datetime import UTC, datetime, timedelta

from experiment_pipeline.domain.retention import NeededEvents, Retention

NOW = datetime(2026, 12, 15, tzinfo=UTC)
KEEP = timedelta(days=100)  # from 6 September on


def test_retention__without_experiments__keeps_whole_months() -> None:
    found = Retention.of("prod", KEEP, [], NOW)
    assert (found.kept_from, found.before, found.held_by) == ("2026-09", datetime(2026, 9, 6, tzinfo=UTC), None)


def test_retention__experiment_that_needs_earlier_months__keeps_them() -> None:
    needed = [
        NeededEvents("new", datetime(2026, 10, 1, tzinfo=UTC)),
        NeededEvents("old", datetime(2026, 3, 9, tzinfo=UTC)),
    ]
    found = Retention.of("prod", KEEP, needed, NOW)
    assert (found.kept_from, found.held_by) == ("2026-03", "old")


def test_retention__experiment_that_needs_the_same_month__keeps_nothing_more() -> None:
    found = Retention.of("prod", KEEP, [NeededEvents("same", datetime(2026, 9, 1, tzinfo=UTC))], NOW)
    assert (found.kept_from, found.held_by) == ("2026-09", None)
