"""What the names of sources' objects say."""

import pytest

from experiment_pipeline.landing.source_objects import SourceRangeName, range_of


@pytest.mark.parametrize(
    ("folder", "version", "replaces"),
    [
        ("v3-000001-a1b2", 3, False),
        ("again-v12-000004", 12, True),
        ("0a1b2c", None, False),
        ("again-", None, False),
        ("v3", None, False),
    ],
)
def test_range_of__an_object_of_a_source(folder: str, version: int | None, replaces: bool) -> None:
    name = f"events/env_key=prod/sources/orders/{folder}/part-00000.parquet"
    assert range_of(name) == SourceRangeName("prod", "orders", folder, version, replaces)


@pytest.mark.parametrize(
    "name",
    [
        "events/env_key=prod/2026/03/01/11/20260301T110000Z-a.jsonl",
        "events/env_key=prod/sources/orders/part-00000.parquet",
        "events/env_key=prod/sources/orders/again-1/below/part-00000.parquet",
        "events/env_key=prod/x/sources/orders/again-1/part-00000.parquet",
    ],
)
def test_range_of__any_other_object__is_none(name: str) -> None:
    assert range_of(name) is None
