"""Ranges of sources in a bucket of a real S3-compatible server: visible as a whole or not at all (rules D2, D5)."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.landing.ignored import IgnoredReason
from experiment_pipeline.landing.object_listing import ObjectListing
from experiment_pipeline.landing.source_objects import COMPLETE
from experiment_pipeline.sources.landing_folder import folder_of_range, has_landed, land, landed_files
from experiment_pipeline.storage.object_path import ObjectPath

pytestmark = pytest.mark.slow
FRAME = pl.DataFrame({"event": ["a", "b"]})


@pytest.fixture
def landing(object_storage: str, tmp_path: Path) -> ObjectPath:
    return ObjectPath.of_url(object_storage, tmp_path) / "landing"


def listed(landing: ObjectPath) -> tuple[list[str], list[IgnoredReason]]:
    listing = ObjectListing(landing)
    return [found.name.rpartition("/")[2] for found in listing.names()], [each.reason for each in listing.ignored.first]


def test_land__in_a_bucket__counts_once_all_of_it_is_there(landing: ObjectPath) -> None:
    folder = folder_of_range(landing, "prod", "orders", "v1-000001")
    seen: list[tuple[list[str], list[IgnoredReason]]] = []

    def frames() -> Iterator[pl.DataFrame]:
        yield FRAME
        seen.append(listed(landing))
        yield FRAME

    assert land(frames(), folder) == 4
    assert seen == [([], [IgnoredReason.INCOMPLETE])]
    assert has_landed(folder)
    assert listed(landing) == (["part-00000.parquet", "part-00001.parquet"], [])
    assert len(list(landed_files(folder))) == 2


def test_land__after_a_process_that_died__replaces_what_it_has_left(landing: ObjectPath) -> None:
    folder = folder_of_range(landing, "prod", "orders", "v1-000001")
    (landing / "events/env_key=prod/sources/orders/v1-000001/part-00007.parquet").write_bytes(b"half")
    assert not has_landed(folder)
    land([FRAME], folder)
    assert listed(landing) == (["part-00000.parquet"], [])


def test_land__without_records__leaves_nothing(landing: ObjectPath) -> None:
    folder = folder_of_range(landing, "prod", "orders", "v1-000001")
    assert land([FRAME.clear()], folder) == 0
    assert not has_landed(folder)
    assert not (landing / "events/env_key=prod/sources/orders/v1-000001" / COMPLETE).exists()
