"""Landing of a range: all of it becomes visible at once, or nothing does."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.sources.landing_folder import folder_of_range, land

FRAME = pl.DataFrame({"event": ["a", "b"], "identifier": ["1", "2"]})


def listed(landing: Path) -> list[tuple[str, str]]:
    return [(found.name, found.environment_key) for found in Listing(landing).names()]


def test_land__frames__are_objects_of_the_environment(tmp_path: Path) -> None:
    folder = folder_of_range(tmp_path, "prod", "orders", "range-1")
    assert land([FRAME, FRAME.clear(), FRAME], folder) == 4
    assert listed(tmp_path) == [
        ("events/env_key=prod/sources/orders/range-1/part-00000.parquet", "prod"),
        ("events/env_key=prod/sources/orders/range-1/part-00002.parquet", "prod"),
    ]


def test_land__no_records__makes_no_folder(tmp_path: Path) -> None:
    folder = folder_of_range(tmp_path, "prod", "orders", "range-1")
    assert land([FRAME.clear()], folder) == 0
    assert list(folder.parent.iterdir()) == []


def test_land__reading_that_fails_midway__leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[pl.DataFrame]:
        yield FRAME
        assert listed(tmp_path) == []  # what is written is not visible yet
        raise OSError("the connection is lost")

    folder = folder_of_range(tmp_path, "prod", "orders", "range-1")
    with pytest.raises(OSError, match="connection is lost"):
        land(frames(), folder)
    assert list(folder.parent.iterdir()) == []


def test_land__after_a_process_that_died__replaces_what_it_has_left(tmp_path: Path) -> None:
    folder = folder_of_range(tmp_path, "prod", "orders", "range-1")
    left = folder.with_name(".range-1") / "part-00007.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert land([FRAME], folder) == 2
    assert [path.name for path in folder.iterdir()] == ["part-00000.parquet"]
    assert not left.parent.exists()
