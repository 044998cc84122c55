"""When removed rows are dropped, and what is told of them (rule E6)."""

from datetime import UTC, datetime

from experiment_pipeline.domain.removed_rows import DropLimit, NeededVersion, RemovedRows

THEN = datetime(2026, 4, 1, tzinfo=UTC)
CHECKOUT, BANNER = NeededVersion("prod", "checkout", 4), NeededVersion("prod", "banner", 7)


def test_drop_limit__is_the_oldest_of_what_is_old_enough_and_what_is_needed() -> None:
    assert DropLimit(9).batch == 9
    assert DropLimit(9, (BANNER, CHECKOUT)).batch == 4
    assert DropLimit(3, (BANNER, CHECKOUT)).batch == 3


def test_drop_limit__holders__are_those_that_hold_up_what_is_old_enough() -> None:
    assert DropLimit(9, (BANNER, CHECKOUT, CHECKOUT)).holders == ("prod/banner", "prod/checkout")
    assert DropLimit(7, (BANNER, CHECKOUT)).holders == ("prod/checkout",)
    assert DropLimit(4, (BANNER, CHECKOUT)).holders == ()


def test_removed_rows__are_due_or_held_or_too_new() -> None:
    rows = {3: 10, 4: 20, 5: 30, 9: 40, 10: 50}
    told = RemovedRows.of(rows, DropLimit(9, (CHECKOUT,)), THEN)
    assert told == RemovedRows(stored=150, due=30, held=70, held_by=("prod/checkout",), next_at=THEN)


def test_removed_rows__of_which_none_is_held__name_no_experiment() -> None:
    assert RemovedRows.of({3: 10}, DropLimit(9, (CHECKOUT,)), None) == RemovedRows(stored=10, due=10)
    assert RemovedRows.of({}, DropLimit(0), None) == RemovedRows(stored=0)
