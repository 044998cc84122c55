"""Small frames are validated before they are written, so that the last good one is never lost."""

import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from pandera.errors import SchemaErrors

from experiment_pipeline.domain.aggregates import MetricAggregates, ValueSummary, VariantAggregate
from experiment_pipeline.domain.exposures import UnlistedExposures
from experiment_pipeline.errors import ArtifactMissing
from experiment_pipeline.warehouse.frame_schemas import (
    COLUMNS,
    KEYS,
    frame_of,
    is_sound,
    listed_exposures,
    metric_aggregates,
    schema,
    validated,
)
from tests.warehouse.contract import NOTHING

ROWS: dict[str, dict[str, Any]] = {
    "exposure_buckets": {
        "bucket": datetime(2026, 3, 1, tzinfo=UTC),
        "variant": "b",
        "quarantined": False,
        "new_identities": 3,
    },
    "variant_aggregates": {
        **NOTHING,
        "metric_id": 1,
        "variant": "b",
        "identities": 3,
        "n": 3,
        "mean": 0.5,
        "m2": 1.5,
        "nonzero": 2,
        "with_value": 3,
        "with_event": 2,
        "largest": 2.0,
        "values": 4,
        "invalid_values": 0,
    },
    "srm": {
        "variant": "b",
        "identities": 3,
        "expected_share": 0.5,
        "p_value": None,
        "anytime_p_value": None,
        "reason": "fewer_than_100_identities",
    },
    "bayesian_results": {
        "metric_id": 1,
        "treatment": "b",
        "effect": -0.1,
        "effect_low": -0.2,
        "effect_high": 0.0,
        "lift": None,
        "lift_low": None,
        "lift_high": None,
        "chance_to_win": 0.02,
        "expected_loss": 0.1,
        "reason": "control_mean_not_positive",
    },
}
NUMBERS = [
    (name, column) for name, columns in COLUMNS.items() for column, dtype in columns.items() if dtype == pl.Float64
]


def test_every_frame__has_an_example_here() -> None:
    assert set(ROWS) == set(COLUMNS) == set(KEYS)


@pytest.mark.parametrize("name", COLUMNS)
def test_validated__sound_rows__come_back_unchanged(name: str) -> None:
    frame = frame_of(name, [ROWS[name]])
    assert validated(name, frame).to_dicts() == [ROWS[name]]


@pytest.mark.parametrize("name", COLUMNS)
def test_validated__no_rows__keep_columns_and_types(name: str) -> None:
    assert validated(name, frame_of(name, [])).schema == COLUMNS[name]


@pytest.mark.parametrize("name", COLUMNS)
def test_is_sound__sound_rows_and_those_that_lack_a_value__is_what_the_schema_says(name: str) -> None:
    assert is_sound(name, frame_of(name, [ROWS[name]]))
    assert schema(name).validate(frame_of(name, [ROWS[name]])).to_dicts() == [ROWS[name]]
    without = {label: is_sound(name, frame_of(name, [ROWS[name] | {label: None}])) for label in COLUMNS[name]}
    assert without == {label: column.nullable for label, column in schema(name).columns.items()}


@pytest.mark.parametrize("name", COLUMNS)
def test_validated__a_key_that_comes_twice__is_refused(name: str) -> None:
    with pytest.raises(SchemaErrors, match="unique"):
        validated(name, frame_of(name, [ROWS[name], ROWS[name]]))


@pytest.mark.parametrize("name", COLUMNS)
def test_validated__missing_additional_or_reordered_columns__are_refused(name: str) -> None:
    frame = frame_of(name, [ROWS[name]])
    last = frame.columns[-1]
    for wrong in (frame.drop(last), frame.with_columns(another=1), frame.select(last, pl.exclude(last))):
        with pytest.raises(SchemaErrors):
            validated(name, wrong)


@pytest.mark.parametrize(("name", "column"), NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_validated__number_that_is_none__is_refused(name: str, column: str, value: float) -> None:
    with pytest.raises(SchemaErrors, match=column):
        validated(name, frame_of(name, [ROWS[name] | {column: value}]))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("exposure_buckets", {"new_identities": -1}),
        ("exposure_buckets", {"variant": None}),
        ("variant_aggregates", {"n": -1}),
        ("variant_aggregates", {"n": None}),
        ("variant_aggregates", {"m2": -1e-9}),
        ("variant_aggregates", {"values": -1}),
        ("variant_aggregates", {"nonzero": -1}),
        ("variant_aggregates", {"with_value": -1}),
        ("variant_aggregates", {"with_event": -1}),
        ("variant_aggregates", {"invalid_values": -1}),
        ("srm", {"expected_share": 1.01}),
        ("srm", {"p_value": -0.01}),
        ("bayesian_results", {"chance_to_win": 1.01}),
        ("bayesian_results", {"expected_loss": -1e-9}),
    ],
)
def test_validated__value_out_of_its_range__is_refused_by_column(name: str, change: dict[str, object]) -> None:
    (column,) = change
    with pytest.raises(SchemaErrors, match=column):
        validated(name, frame_of(name, [ROWS[name] | change]))


def test_validated__two_faults__are_both_listed() -> None:
    broken = frame_of("variant_aggregates", [ROWS["variant_aggregates"] | {"n": -1, "m2": -1.0}])
    with pytest.raises(SchemaErrors) as refused:
        validated("variant_aggregates", broken)
    assert {"n", "m2"} <= set(refused.value.failure_cases["column"])


def test_metric_aggregates__rows__become_moments_by_metric_and_variant() -> None:
    row = ROWS["variant_aggregates"]
    frame = frame_of(
        "variant_aggregates",
        [
            row | {"variant": "b", "invalid_values": 2},
            row | {"variant": "control", "mean": None, "m2": None, "largest": None, "invalid_values": 1},
            row | {"metric_id": 2, "n": 0, "mean": 0.0, "m2": 0.0, "nonzero": 0, "with_value": 0, "largest": None},
            row | {"metric_id": 3, "mean": 1e200, "m2": None, "largest": 3e200},
        ],
    )
    assert metric_aggregates(frame) == [
        MetricAggregates(
            1,
            {"b": VariantAggregate(3, 0.5, 1.5), "control": None},
            values={"b": 4, "control": 4},
            invalid_values={"b": 2, "control": 1},
            of_identities={"b": ValueSummary(2, 3, 2.0, 1.5), "control": ValueSummary(2, 3, None, None)},
            identities={"b": 3, "control": 3},
            not_mature={"b": 0, "control": 0},
            with_event={"b": 2, "control": 2},
        ),
        MetricAggregates(
            2,
            {"b": VariantAggregate(0, 0.0, 0.0)},
            {"b": 4},
            {"b": 0},
            {"b": ValueSummary(0, 0, None, 0.0)},
            identities={"b": 3},
            not_mature={"b": 0},
            with_event={"b": 2},
        ),
        MetricAggregates(
            3,
            {"b": None},
            {"b": 4},
            {"b": 0},
            {"b": ValueSummary(2, 3, 3e200, 3e200)},
            identities={"b": 3},
            not_mature={"b": 0},
            with_event={"b": 2},
        ),
    ]


def test_metric_aggregates__of_a_frame_that_an_older_version_stored__says_to_make_it_again() -> None:
    with pytest.raises(ArtifactMissing, match="without values"):
        metric_aggregates(frame_of("variant_aggregates", [ROWS["variant_aggregates"]]).drop("values"))
    older = frame_of("variant_aggregates", [ROWS["variant_aggregates"]]).drop("nonzero", "with_value", "largest")
    with pytest.raises(ArtifactMissing, match="without nonzero, with_value, largest"):
        metric_aggregates(older)


def bucket_rows(*rows: tuple[str, bool, int]) -> pl.DataFrame:
    row = ROWS["exposure_buckets"]
    return frame_of(
        "exposure_buckets",
        [row | {"variant": variant, "quarantined": excluded, "new_identities": n} for variant, excluded, n in rows],
    )


def test_listed_exposures__of_many_others__are_the_configured_and_the_largest__x6() -> None:
    others = [(f"other-{number:02}", False, 1 + number // 2) for number in range(30)]
    frame = bucket_rows(("control", False, 1), ("x" * 2_001, False, 999), ("b", True, 3), ("c", True, 4), *others)
    listed, unlisted = listed_exposures(frame, ("control", "b"))
    assert {bucket.variant for bucket in listed if not bucket.quarantined} == {
        "control", *(f"other-{number}" for number in range(10, 30))
    }  # fmt: skip
    assert sum(bucket.new_identities for bucket in listed if bucket.quarantined) == 7
    assert (unlisted.variants, list(unlisted.new_identities.values())) == (11, [999 + 2 * (1 + 2 + 3 + 4 + 5)])


def test_listed_exposures__of_few__are_all__x6() -> None:
    listed, unlisted = listed_exposures(bucket_rows(("unknown", False, 2), ("", False, 1)), ("control",))
    assert [(bucket.variant, bucket.new_identities) for bucket in listed] == [("unknown", 2), ("", 1)]
    assert unlisted == UnlistedExposures()
