"""The real experiment, as published."""

from collections import Counter
from datetime import UTC, datetime

from experiment_pipeline.demo.thornton import people


def test_people__counts__are_those_of_the_study() -> None:
    offered = Counter(person.variant for person in people())
    learned = Counter(person.variant for person in people() if person.learned_at is not None)
    assert offered == {"control": 623, "incentive": 2211}
    assert learned == {"control": 211, "incentive": 1745}


def test_people__identifiers_are_unique_and_all_happens_in_the_declared_window() -> None:
    everyone = list(people())
    assert len({person.identifier for person in everyone}) == 2834
    assert min(person.offered_at for person in everyone) == datetime(2026, 1, 5, tzinfo=UTC)
    assert max(person.learned_at or person.offered_at for person in everyone) < datetime(2026, 1, 19, tzinfo=UTC)
