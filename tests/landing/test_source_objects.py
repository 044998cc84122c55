"""What the names of sources' objects say."""

from datetime import UTC, date, datetime

import pytest

from experiment_pipeline.landing.source_objects import SourceRangeName, oldest_of, range_of, since_part


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


@pytest.mark.parametrize(
    ("folder", "oldest"),
    [
        (f"v3-{since_part(date(2015, 1, 1))}000001-a1b2", datetime(2015, 1, 1, tzinfo=UTC)),
        (f"again-v3-{since_part(date(2015, 1, 1))}000001-a1b2", datetime(2015, 1, 1, tzinfo=UTC)),
        (f"{since_part(date(1976, 2, 3))}0a1b2c", datetime(1976, 2, 3, tzinfo=UTC)),
        (f"v3-{since_part(None)}000001-a1b2", datetime(2020, 1, 1, tzinfo=UTC)),
        ("since19691231-a", datetime(1970, 1, 1, tzinfo=UTC)),  # names that nobody but a hand writes
        ("since20240101-a", datetime(2020, 1, 1, tzinfo=UTC)),
        ("since20150230-a", datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)
def test_oldest_of__an_object_of_a_source__is_what_its_range_says(folder: str, oldest: datetime) -> None:
    assert oldest_of(f"events/env_key=prod/sources/orders/{folder}/part-00000.parquet") == oldest


def test_oldest_of__any_other_object__is_that_of_every_sender() -> None:
    assert oldest_of("events/env_key=prod/2026/03/01/11/since20150101-a.jsonl") == datetime(2020, 1, 1, tzinfo=UTC)
