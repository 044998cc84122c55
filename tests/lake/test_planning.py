"""Which objects are the next batch."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.lake import planning
from experiment_pipeline.lake.planning import BATCH_WEIGHT, PACKED_TIMES, ROW_WEIGHT, TEXT_TIMES, Weights, oldest
from experiment_pipeline.lake.reading_mark import MARK, ReadingMark
from experiment_pipeline.landing.landing_zone import landed_objects
from tests.lake.ledger import NOW, PROD, LakeInOneFolder, land, record
from tests.lake.source_objects import land_range, order


def landed(name: str, seconds: int, size: int = 1) -> LandedObject:
    return LandedObject(f"events/env_key={PROD}/{name}", PROD, NOW + timedelta(seconds=seconds), size)


def names(*objects: LandedObject) -> list[str]:
    return [one.name.rpartition("/")[2] for one in oldest(objects, lambda each: each.bytes)]


def weights(landing: Path) -> dict[str, int]:
    """The weight of every object by its name."""
    weigh = Weights(landing, ReadingMark(landing))
    return {each.name.rpartition("/")[2]: weigh(each) for each in landed_objects(landing)}


def test_oldest__are_in_the_order_of_their_arrival_up_to_a_weight() -> None:
    half = BATCH_WEIGHT // 2
    assert names(landed("c", 3, half), landed("a", 1, half), landed("b", 2, half)) == ["a", "b"]
    assert names(landed("a", 1, 3 * half), landed("b", 2)) == ["a"]
    assert names() == []


def test_oldest__before_a_range_that_replaces_its_source__end_there__d5() -> None:
    again = [landed("sources/orders/again-v2-2/part-0", 1), landed("sources/orders/again-v2-2/part-1", 3)]
    assert names(*again, landed("a", 2), landed("b", 4)) == ["a"]
    assert names(*again, landed("b", 4)) == ["part-0", "part-1"]


def test_oldest__a_range_that_replaces__is_whole_whatever_its_size__and_alone__d5() -> None:
    parts = [landed(f"sources/orders/again-v2-2/part-{part}", part, BATCH_WEIGHT) for part in range(3)]
    other = landed("sources/refunds/again-v2-2/part-9", 9)
    assert names(*parts, other) == ["part-0", "part-1", "part-2"]


def test_oldest__weighs_the_objects_of_a_batch_and_the_one_after_them_alone() -> None:
    asked: list[str] = []

    def weigh(each: LandedObject) -> int:
        asked.append(each.name[-1])
        return BATCH_WEIGHT

    oldest([landed("b", 2), landed("c", 3), landed("a", 1)], weigh)
    assert asked == ["a", "b"]


def test_weights__of_a_parquet_object__are_those_of_its_rows__however_little_it_takes(tmp_path: Path) -> None:
    land_range(tmp_path, "v1-000001", [order("a")] * 50_000)
    assert weights(tmp_path) == {"part-00000.parquet": 50_000 * ROW_WEIGHT}


def test_weights__of_a_parquet_object_of_few_long_rows__are_those_of_its_bytes(tmp_path: Path) -> None:
    land_range(tmp_path, "v1-000001", [order("a", "".join(map(chr, range(32, 6_000))))])
    (landed_object,) = landed_objects(tmp_path)
    assert weights(tmp_path) == {"part-00000.parquet": landed_object.bytes * PACKED_TIMES}


def test_weights__of_lines__are_those_of_their_bytes_and_of_packed_ones_more(tmp_path: Path) -> None:
    sizes = {name: land(tmp_path, [record()], name).stat().st_size for name in ("a.jsonl", "b.jsonl.gz")}
    assert weights(tmp_path) == {
        "a.jsonl": sizes["a.jsonl"] * TEXT_TIMES,
        "b.jsonl.gz": sizes["b.jsonl.gz"] * PACKED_TIMES,
    }


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 no footer PAR1"])
def test_weights__of_a_file_that_says_nothing_of_its_rows__are_those_of_its_bytes(
    tmp_path: Path, content: bytes
) -> None:
    land(tmp_path, content, "a.parquet")
    assert weights(tmp_path) == {"a.parquet": len(content) * PACKED_TIMES}


def test_weights__of_a_parquet_object__are_asked_under_the_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_range(tmp_path, "v1-000001", [order("a")])
    marked: list[bool] = []

    def count(path: Path) -> int:
        marked.append(ReadingMark(tmp_path).is_suspect(path.relative_to(tmp_path).as_posix()))
        return BATCH_WEIGHT

    monkeypatch.setattr(planning, "count_rows", count)
    assert weights(tmp_path) == {"part-00000.parquet": BATCH_WEIGHT * ROW_WEIGHT}
    assert marked == [True]


def test_weights__of_a_parquet_object_that_a_process_died_over__are_those_of_its_bytes(tmp_path: Path) -> None:
    land_range(tmp_path, "v1-000001", [order("a")] * 50_000)
    (each,) = landed_objects(tmp_path)
    (tmp_path / MARK).write_text(json.dumps([each.name]))
    assert weights(tmp_path) == {"part-00000.parquet": each.bytes * PACKED_TIMES}


def test_ingest__of_dense_objects__makes_batches_of_few_rows__and_finishes_an_interrupted_one_as_it_was_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = LakeInOneFolder(tmp_path)
    monkeypatch.setattr(planning, "PACKED_TIMES", 0)
    monkeypatch.setattr(planning, "BATCH_WEIGHT", 4 * ROW_WEIGHT)
    land_range(tmp_path, "v1-000001", *([order(f"{part}a"), order(f"{part}b")] for part in range(5)))
    here.ledger.dies = True
    with pytest.raises(KeyboardInterrupt):
        here.ingest()
    monkeypatch.setattr(planning, "BATCH_WEIGHT", BATCH_WEIGHT)
    assert here.ingest().accepted == 10
    assert [len(batch.objects) for batch in here.ledger.batches] == [2, 3]
