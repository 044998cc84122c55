"""Which objects are the next batch."""

from datetime import timedelta

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.lake import planning
from experiment_pipeline.lake.planning import oldest
from tests.lake.ledger import NOW, PROD


def landed(name: str, seconds: int, size: int = 1) -> LandedObject:
    return LandedObject(f"events/env_key={PROD}/{name}", PROD, NOW + timedelta(seconds=seconds), size)


def names(*objects: LandedObject) -> list[str]:
    return [one.name.rpartition("/")[2] for one in oldest(objects)]


def test_oldest__are_in_the_order_of_their_arrival_up_to_a_size() -> None:
    half = planning.BATCH_BYTES // 2
    assert names(landed("c", 3, half), landed("a", 1, half), landed("b", 2, half)) == ["a", "b"]
    assert names(landed("a", 1, 3 * half), landed("b", 2)) == ["a"]
    assert names() == []


def test_oldest__before_a_range_that_replaces_its_source__end_there__d5() -> None:
    again = [landed("sources/orders/again-v2-2/part-0", 1), landed("sources/orders/again-v2-2/part-1", 3)]
    assert names(*again, landed("a", 2), landed("b", 4)) == ["a"]
    assert names(*again, landed("b", 4)) == ["part-0", "part-1"]


def test_oldest__a_range_that_replaces__is_whole_whatever_its_size__and_alone__d5() -> None:
    parts = [landed(f"sources/orders/again-v2-2/part-{part}", part, planning.BATCH_BYTES) for part in range(3)]
    other = landed("sources/refunds/again-v2-2/part-9", 9)
    assert names(*parts, other) == ["part-0", "part-1", "part-2"]
