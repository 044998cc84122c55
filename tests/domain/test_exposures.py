"""The window, its granularity, and the exposures payload (rules X1, X4, X7)."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.exposures import (
    ExposureBucket,
    Granularity,
    UnlistedExposures,
    Window,
    summarise_exposures,
)
from experiment_pipeline.results.payload import exposures_payload
from experiment_pipeline.times import iso_utc

STARTED_AT = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUCKETS = st.lists(
    st.builds(
        ExposureBucket,
        bucket=st.integers(0, 5).map(lambda hours: STARTED_AT + hours * HOUR),
        variant=st.sampled_from(("control", "b", "unknown", "")),
        quarantined=st.booleans(),
        new_identities=st.integers(1, 1000),
    ),
    unique_by=lambda bucket: (bucket.bucket, bucket.variant, bucket.quarantined),
)


@pytest.mark.parametrize(
    ("length", "granularity"),
    [
        (timedelta(0), Granularity.HOUR),
        (72 * HOUR, Granularity.HOUR),
        (72 * HOUR + timedelta(microseconds=1), Granularity.DAY),
    ],
)
def test_granularity__turns_just_after_72_hours__x4(length: timedelta, granularity: Granularity) -> None:
    assert Window(STARTED_AT, STARTED_AT + length).granularity is granularity


def test_window__end_before_start__is_refused__x1() -> None:
    with pytest.raises(ValueError, match="lies before started_at"):
        Window(STARTED_AT, STARTED_AT - timedelta(microseconds=1))


@pytest.mark.parametrize("wrong", [STARTED_AT.replace(tzinfo=None), STARTED_AT.astimezone(timezone(HOUR))])
def test_window__end_that_is_not_utc__is_refused__x1(wrong: datetime) -> None:
    for ends in ((wrong, STARTED_AT), (STARTED_AT, wrong)):
        with pytest.raises(ValueError, match="must be UTC"):
            Window(*ends)


def test_summary__payload__is_what_x7_says() -> None:
    first, second = STARTED_AT.replace(minute=0), STARTED_AT.replace(minute=0) + 3 * HOUR
    summary = summarise_exposures(
        [
            ExposureBucket(second, "control", quarantined=False, new_identities=1),
            ExposureBucket(first, "control", quarantined=False, new_identities=2),
            ExposureBucket(first, "control", quarantined=True, new_identities=4),
            ExposureBucket(first, "b", quarantined=False, new_identities=3),
        ],
        Granularity.HOUR,
    )
    assert exposures_payload(summary) == {
        "phase": 1,
        "excluded_identities": 4,
        "timeseries": {
            "granularity": "hour",
            "points": [
                {"bucket": "2026-03-01T22:00:00Z", "new_identities": {"b": 3, "control": 2}},
                {"bucket": "2026-03-02T01:00:00Z", "new_identities": {"control": 1}},
            ],
        },
    }
    assert summary.identities == 6


def test_summary__bucket_where_everybody_is_quarantined__has_no_point__x7() -> None:
    only = ExposureBucket(STARTED_AT, "b", quarantined=True, new_identities=2)
    payload = exposures_payload(summarise_exposures([only], Granularity.DAY), 2)
    assert payload == {"phase": 2, "excluded_identities": 2, "timeseries": {"granularity": "day", "points": []}}


def test_summary__of_variants_that_are_not_listed__counts_them__x6() -> None:
    later = STARTED_AT + HOUR
    only = ExposureBucket(STARTED_AT, "b", quarantined=False, new_identities=2)
    summary = summarise_exposures([only], Granularity.DAY, UnlistedExposures(7, {STARTED_AT: 5, later: 4}))
    assert summary.identities == 11
    payload = exposures_payload(summary)
    assert payload["unlisted_variants"] == 7
    assert payload["timeseries"]["points"] == [
        {"bucket": iso_utc(STARTED_AT), "new_identities": {"b": 2}, "unlisted_identities": 5},
        {"bucket": iso_utc(later), "new_identities": {}, "unlisted_identities": 4},
    ]


@given(buckets=BUCKETS, data=st.data())
def test_summary__buckets_in_any_order__give_one_payload_that_counts_everybody_once(
    buckets: list[ExposureBucket], data: st.DataObject
) -> None:
    summary = summarise_exposures(buckets, Granularity.HOUR)
    permuted = data.draw(st.permutations(buckets))
    again = summarise_exposures(permuted, Granularity.HOUR)
    assert json.dumps(exposures_payload(again)) == json.dumps(exposures_payload(summary))
    starts = [point.bucket for point in summary.timeseries.points]
    assert starts == sorted(set(starts))
    assert summary.identities + summary.excluded_identities == sum(bucket.new_identities for bucket in buckets)
    counted = Counter(dict.fromkeys(("control", "b", "unknown", ""), 0))
    for point in summary.timeseries.points:
        assert point.new_identities, "points are sparse"
        counted.update(point.new_identities)
    wanted = Counter(dict.fromkeys(counted, 0))
    for bucket in buckets:
        wanted[bucket.variant] += 0 if bucket.quarantined else bucket.new_identities
    assert counted == wanted


@pytest.mark.parametrize(("microsecond", "text"), [(0, "2026-03-01T22:30:00Z"), (1_000, "2026-03-01T22:30:00.001Z")])
def test_iso_utc__milliseconds__only_when_there_are_any(microsecond: int, text: str) -> None:
    assert iso_utc(STARTED_AT.replace(microsecond=microsecond)) == text
