"""What every engine must do, on real data (rules X1-X5, M2-M5).

A suite for one engine inherits `WarehouseContract` and gives the fixture `build`: it turns files of events into an
engine over them. Expected answers are written out, or computed exactly, in fractions.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Protocol

import polars as pl
import pytest

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.discovery import ExposedVariant, ExposedVariants
from experiment_pipeline.domain.event_ids import RepeatedEventIds
from experiment_pipeline.domain.event_timing import EventTiming, NearExposure
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.exposures import FirstExposureCounts, SeenExposures, Window
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.errors import ArtifactMissing
from experiment_pipeline.warehouse.base import LakeWarehouse as Warehouse
from experiment_pipeline.warehouse.frame_schemas import validated
from tests.metrics import version_1

STARTED_AT = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
MILLISECOND, HOUR, DAY = timedelta(milliseconds=1), timedelta(hours=1), timedelta(days=1)
LENGTH = 3 * DAY
ACCURACY = 1e-12  # rule X5, relative
FEATURE, PURCHASE = "checkout", "purchase"


@dataclass(frozen=True)
class Event:
    """One row of the lake, as far as an analysis reads it; `at` counts from the start of the window.

    The identifier is the text of `identity`; `hash` is the event's.
    """

    identity: int
    event: str
    at: timedelta
    value: str | None
    number: float | None = None
    feature: str | None = None
    batch: int = 1
    traits: str | None = None
    metadata: str | None = None
    hash: tuple[int, int] = (0, 0)
    event_id: str | None = None
    delay: timedelta = timedelta(0)  # until it landed


class Build(Protocol):
    """An engine over a lake of these files."""

    def __call__(self, *files: Sequence[Event], threads: int = 2) -> Warehouse: ...


def seen(identity: int, variant: str, at: timedelta = HOUR, *, feature: str = FEATURE, batch: int = 1) -> Event:
    return Event(identity, "$flag_exposure", at, variant, feature=feature, batch=batch)


def did(
    identity: int, number: float | None, at: timedelta = 2 * HOUR, *, event: str = PURCHASE, batch: int = 1
) -> Event:
    return Event(identity, event, at, None if number is None else repr(number), number, batch=batch)


def scope(
    *, length: timedelta = LENGTH, data_version: int = 1, policy: MultipleExposures = MultipleExposures.EXCLUDE
) -> AnalysisScope:
    return AnalysisScope("checkout-1", "prod", FEATURE, Window(STARTED_AT, STARTED_AT + length), data_version, policy)


def metric(number: int, aggregation: Aggregation, *, window: timedelta | None = None, event: str = PURCHASE) -> Metric:
    return version_1(number, "prod", f"metric {number}", event, aggregation, window=window)


def buckets(engine: Warehouse, of: AnalysisScope) -> list[tuple[timedelta, str, bool, int]]:
    """Start of the bucket after midnight of the first day, variant, quarantined, identities."""
    engine.write_first_exposures(of)
    midnight = STARTED_AT.replace(hour=0, minute=0)
    rows = validated("exposure_buckets", engine.exposure_buckets(of).rows)
    return [(bucket - midnight, variant, quarantined, n) for bucket, variant, quarantined, n in rows.iter_rows()]


def aggregates(engine: Warehouse, of: AnalysisScope, *metrics: Metric) -> list[dict[str, Any]]:
    engine.write_first_exposures(of)
    return validated("variant_aggregates", engine.variant_aggregates(of, metrics).rows).to_dicts()


def moments(engine: Warehouse, *metrics: Metric, of: AnalysisScope | None = None) -> dict[int, tuple[Any, Any, Any]]:
    """n, mean and m2 by metric, of the one variant there is."""
    return {row["metric_id"]: (row["n"], row["mean"], row["m2"]) for row in aggregates(engine, of or scope(), *metrics)}


def exact_moments(values: Sequence[float]) -> tuple[int, float, float]:
    """n, mean and m2 in fractions, rounded once at the end."""
    numbers = [Fraction(value) for value in values]
    mean = sum(numbers, Fraction()) / len(numbers)
    return len(numbers), float(mean), float(sum((number - mean) ** 2 for number in numbers))


def near(wanted: tuple[int, float, float]) -> tuple[Any, Any, Any]:
    n, mean, m2 = wanted
    return n, pytest.approx(mean, rel=ACCURACY, abs=0), pytest.approx(m2, rel=ACCURACY, abs=0)


NOTHING: dict[str, Any] = {  # a row of a version 1 metric in which nothing happened
    **dict.fromkeys(("part", "name", "value", "mean_x", "m2_x", "c_xy", "cap", "floor", "cap_x", "floor_x")),
    **dict.fromkeys(("quantile", "quantile_low", "quantile_high", "mixed_fields", "split_calls", "split_reason")),
    **dict.fromkeys(("values", "invalid_values", "not_mature", "nonzero", "nonzero_x", "with_event"), 0),
    **dict.fromkeys(("capped", "floored", "capped_x", "floored_x"), 0),
    "is_other": False,
    "mean": 0.0,
    "m2": 0.0,
    "largest": 0.0,
}


class WarehouseContract:
    """Inherit, and give `build`."""

    def test_empty_lake__has_no_identities_and_no_rows(self, build: Build) -> None:
        engine = build()
        written = engine.write_first_exposures(scope())
        assert (written.identities, written.quarantined) == (0, 0)
        assert engine.variant_identities(scope()) == {}
        assert buckets(engine, scope()) == []
        assert aggregates(engine, scope(), metric(1, Aggregation.SUM)) == []

    def test_data_version_0__is_a_lake_without_events__e6(self, build: Build) -> None:
        engine = build([seen(1, "b"), did(1, 2)])
        assert engine.write_first_exposures(scope(data_version=0)).identities == 0

    def test_event_ids__with_another_time_or_value__are_counted__e4(self, build: Build) -> None:
        sent = [(1, 5, "A"), (1, 6, "A"), (1, 7, "A"), (1, 5, "B"), (2, 5, "A"), (2, 5, "C"), (2, 6, "C"), (3, 9, None)]
        events = [replace(did(who, value), event_id=event_id) for who, value, event_id in sent]
        others = [
            replace(did(1, 8, LENGTH), event_id="B"),
            replace(did(1, 8, batch=2), event_id="B"),
            replace(did(1, 8, event="other"), event_id="B"),
        ]
        engine = build(events, others)
        assert engine.repeated_event_ids(scope(), [PURCHASE], 1.0) == RepeatedEventIds(2, 5, 1.0)
        assert engine.repeated_event_ids(scope(), [], 1.0) == RepeatedEventIds(0, 0, 1.0)
        assert build().repeated_event_ids(scope(), [PURCHASE], 1.0) == RepeatedEventIds(0, 0, 1.0)

    def test_event_ids__of_a_share_of_the_identities__are_those_of_the_smallest_hashes__e4(self, build: Build) -> None:
        quarters = [number * 2**62 for number in (-2, -1, 0, 1)]
        engine = build([replace(did(who, value), event_id="A") for who in quarters for value in (1, 2)])
        assert engine.repeated_event_ids(scope(), [PURCHASE], 0.5).ids == 3
        assert engine.repeated_event_ids(scope(), [PURCHASE], 0.4).ids == 2

    def test_event_timing__of_flag_and_metrics__counts_late_ones_and_those_before_the_exposure__e6_m2(
        self, build: Build
    ) -> None:
        exposed = [seen(1, "a", 5 * HOUR), seen(2, "a", 5 * HOUR), seen(3, "a", 5 * HOUR, feature="other")]
        hours = (4 * HOUR - MILLISECOND, 4 * HOUR, 5 * HOUR - MILLISECOND, 5 * HOUR, 9 * HOUR)
        bought = [did(1, None, at) for at in hours] + [did(3, None, 4 * HOUR)]
        late = [replace(did(2, None, DAY), delay=delay) for delay in (DAY, DAY + MILLISECOND)]
        left_out = [did(1, None, LENGTH), did(1, None, DAY, batch=2), did(2, None, DAY, event="view")]
        engine = build(exposed + bought + late + left_out)
        engine.write_first_exposures(scope())
        near = {PURCHASE: NearExposure(events=6, before=2)}
        timing = engine.event_timing(scope(), [PURCHASE], 1.0, STARTED_AT, DAY)
        assert timing == EventTiming(2 + 6 + 2, 1, near, 1.0)
        since = engine.event_timing(scope(), [PURCHASE], 1.0, STARTED_AT + DAY, DAY)
        assert (since.events, since.late, since.near_exposure) == (2, 1, near)
        assert engine.event_timing(scope(), [], 1.0, STARTED_AT, DAY) == EventTiming(2)
        assert engine.event_timing(scope(), [PURCHASE], 0.4, STARTED_AT, DAY) == EventTiming(share=0.4)
        empty = build()
        empty.write_first_exposures(scope())
        assert empty.event_timing(scope(), [PURCHASE], 1.0, STARTED_AT, DAY) == EventTiming()

    def test_window__starts_at_its_start_and_ends_before_as_of__x1(self, build: Build) -> None:
        engine = build(
            [
                seen(1, "too early", -MILLISECOND),
                seen(2, "at the start", timedelta(0)),
                seen(3, "just in time", LENGTH - MILLISECOND),
                seen(4, "at as-of", LENGTH),
            ]
        )
        engine.write_first_exposures(scope())
        assert engine.variant_identities(scope()) == {"at the start": 1, "just in time": 1}

    def test_first_exposure__is_the_earliest_in_the_window__x2(self, build: Build) -> None:
        engine = build([seen(1, "b", 2 * DAY), seen(1, "b", 5 * HOUR)], [seen(1, "b", -HOUR), seen(1, "b", DAY)])
        assert buckets(engine, scope()) == [(timedelta(hours=27), "b", False, 1)]

    @pytest.mark.parametrize("variants", [("b", "a"), ("a", "b")])
    def test_first_exposure__at_equal_times__is_the_smallest_variant__x2(
        self, build: Build, variants: tuple[str, str]
    ) -> None:
        engine = build([seen(1, variant) for variant in variants])
        first = scope(policy=MultipleExposures.FIRST)
        engine.write_first_exposures(first)
        assert engine.variant_identities(first) == {"a": 1}

    def test_exposures__of_other_features_later_batches_or_other_events__do_not_count(self, build: Build) -> None:
        engine = build(
            [
                seen(1, "b", 2 * HOUR),
                seen(1, "c", feature="banner"),
                seen(1, "c", batch=2),
                replace(seen(1, "c"), event="purchase"),
                replace(seen(2, "c"), feature=None),
            ]
        )
        assert buckets(engine, scope()) == [(timedelta(hours=24), "b", False, 1)]
        assert engine.write_first_exposures(scope(data_version=2)).quarantined == 1

    def test_quarantine__of_who_saw_several_variants__depends_on_the_policy__x3(self, build: Build) -> None:
        flickering = [seen(1, "b"), seen(1, "unheard of", DAY), seen(2, "control"), seen(2, "control", DAY)]
        engine = build([*flickering, seen(3, "b"), seen(3, "control", LENGTH)])
        first = scope(policy=MultipleExposures.FIRST)
        for of in (scope(), first):
            written = engine.write_first_exposures(of)
            assert (written.identities, written.quarantined) == (3, 1)
        at = timedelta(hours=23)
        assert buckets(engine, scope()) == [(at, "b", False, 1), (at, "b", True, 1), (at, "control", False, 1)]
        assert buckets(engine, first) == [(at, "b", False, 2), (at, "control", False, 1)]
        assert engine.variant_identities(scope()) == {"b": 1, "control": 1}
        assert engine.variant_identities(first) == {"b": 2, "control": 1}
        count = metric(1, Aggregation.COUNT)
        assert [row["n"] for row in aggregates(engine, scope(), count)] == [1, 1]
        assert [row["n"] for row in aggregates(engine, first, count)] == [2, 1]

    def test_buckets__of_more_than_72_hours__are_days__x4(self, build: Build) -> None:
        engine = build([seen(1, "b", 89 * MILLISECOND), seen(2, "b", 90 * timedelta(minutes=1))])
        assert buckets(engine, scope()) == [
            (timedelta(hours=22), "b", False, 1),
            (timedelta(hours=24), "b", False, 1),
        ]
        assert buckets(engine, scope(length=72 * HOUR + MILLISECOND)) == [
            (timedelta(0), "b", False, 1),
            (DAY, "b", False, 1),
        ]

    def test_attribution__begins_with_the_first_exposure_and_ends_before_as_of__m2(self, build: Build) -> None:
        times = (HOUR - MILLISECOND, HOUR, 2 * HOUR, LENGTH - MILLISECOND, LENGTH)
        engine = build([seen(1, "b"), *(did(1, 1, at) for at in times)])
        assert moments(engine, metric(1, Aggregation.COUNT)) == {1: (1, 3, 0)}

    def test_attribution__with_a_window__ends_exactly_there__m2(self, build: Build) -> None:
        engine = build([seen(1, "b"), did(1, 1, HOUR), did(1, 2, 3 * HOUR - MILLISECOND), did(1, 4, 3 * HOUR)])
        wide, exact, narrow = (
            metric(number, Aggregation.SUM, window=window)
            for number, window in enumerate((2 * HOUR + MILLISECOND, 2 * HOUR, 2 * HOUR - MILLISECOND), start=1)
        )
        assert moments(engine, wide, exact, narrow) == {1: (1, 7, 0), 2: (1, 3, 0), 3: (1, 1, 0)}

    def test_events__of_later_batches_other_names_or_nobody_exposed__do_not_count(self, build: Build) -> None:
        engine = build([seen(1, "b"), did(1, 1), did(1, 2, batch=2), did(1, 4, event="refund"), did(2, 8)])
        assert moments(engine, metric(1, Aggregation.SUM)) == {1: (1, 1, 0)}

    def test_aggregations__of_one_event__are_what_m3_says_over_everybody__m4(self, build: Build) -> None:
        engine = build(
            [seen(identity, "b") for identity in (1, 2, 3, 4)],
            [did(1, 3), did(1, 5), did(1, None), did(2, None), did(3, -2)],
        )
        per_identity: dict[Aggregation, tuple[float, ...]] = {
            Aggregation.OCCURRENCE: (1, 1, 1, 0),
            Aggregation.COUNT: (3, 1, 1, 0),
            Aggregation.SUM: (8, 0, -2, 0),
            Aggregation.MEAN: (4, 0, -2, 0),
            Aggregation.MIN: (3, 0, -2, 0),
            Aggregation.MAX: (5, 0, -2, 0),
            Aggregation.FIRST: (3, 0, -2, 0),
            Aggregation.LAST: (5, 0, -2, 0),
            Aggregation.DAYS: (1, 1, 1, 0),
            Aggregation.WEEKS: (1, 1, 1, 0),
            Aggregation.DISTINCT: (2, 0, 1, 0),
        }
        kinds = tuple(metric(number, kind) for number, kind in enumerate(per_identity, start=1))
        rows = {row["metric_id"]: row for row in aggregates(engine, scope(), *kinds)}
        for number, kind in enumerate(per_identity, start=1):
            row = rows[number]
            assert (row["n"], row["mean"], row["m2"]) == near(exact_moments(per_identity[kind])), kind
            assert row["invalid_values"] == (2 if kind.reads_numbers else 0), kind
            assert row["values"] == (5 if kind.reads_numbers else 0), kind
            assert row["nonzero"] == sum(value != 0 for value in per_identity[kind]), kind
            assert row["with_value"] == (2 if kind.may_lack_value else 4), kind
            assert row["with_event"] == 3, kind
            assert row["largest"] == max(per_identity[kind]), kind

    def test_values__that_are_no_numbers__are_counted_by_variant__e5(self, build: Build) -> None:
        engine = build(
            [seen(1, "b"), seen(2, "control"), seen(3, "control")],
            [did(1, None), did(2, 2), did(2, None, HOUR - MILLISECOND), did(3, None), did(3, None), did(4, None)],
        )
        rows = aggregates(engine, scope(), metric(1, Aggregation.SUM))
        assert [(row["variant"], row["values"], row["invalid_values"]) for row in rows] == [
            ("b", 1, 1),
            ("control", 3, 2),
        ]

    def test_aggregates__of_every_variant_and_metric__have_a_row_without_events_too__m4(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "control"), seen(3, "control")])
        rows = aggregates(engine, scope(), metric(2, Aggregation.SUM), metric(1, Aggregation.OCCURRENCE))
        assert rows == [
            {
                **NOTHING,
                "metric_id": number,
                "variant": variant,
                "identities": n,
                "n": n,
                "with_value": n,
            }
            for number in (1, 2)
            for variant, n in (("b", 1), ("control", 2))
        ]
        assert aggregates(engine, scope()) == []

    def test_aggregates__of_a_scope_with_variants__are_theirs_alone__x6(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "control"), seen(3, "unheard of"), did(1, 2), did(3, 4)])
        compared = replace(scope(), variants=("control", "b", "nobody"))
        rows = aggregates(engine, compared, metric(1, Aggregation.SUM))
        assert [(row["variant"], row["n"], row["mean"]) for row in rows] == [("b", 1, 2.0), ("control", 1, 0.0)]
        assert engine.variant_identities(compared) == {"b": 1, "control": 1, "unheard of": 1}
        assert aggregates(engine, replace(scope(), variants=()), metric(1, Aggregation.SUM)) == []

    @pytest.mark.parametrize(
        "values",
        [
            (-5.0, -0.25, -1e3),
            (1e300, -1e300, 1.0),
            (1e16, 1.0, -1e16),
            (5e-324, 5e-324, 1e-310),
            (0.1, 0.2, 0.3, -0.6),
            (1e150, 1.0, 1.0),
        ],
    )
    def test_sums__of_negative_huge_and_subnormal_values__are_accurate(
        self, build: Build, values: tuple[float, ...]
    ) -> None:
        engine = build([seen(1, "b"), *(did(1, value) for value in values)])
        n, mean, m2 = moments(engine, metric(1, Aggregation.SUM))[1]
        scale = max(abs(value) for value in values)
        assert (n, m2) == (1, 0)
        assert mean == pytest.approx(float(sum(map(Fraction, values))), rel=ACCURACY, abs=ACCURACY * scale)

    def test_sums__too_large_for_a_float__have_neither_mean_nor_m2(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "c"), did(1, 1.7e308), did(1, 1.7e308), did(2, 1.0)])
        overflown, sound = aggregates(engine, scope(), metric(1, Aggregation.SUM))
        counts = {"identities": 1, "n": 1, "nonzero": 1, "with_value": 1, "with_event": 1, "values": 2}
        none = {"mean": None, "m2": None, "largest": None}
        assert overflown == {**NOTHING, "metric_id": 1, "variant": "b", **none, **counts}
        assert (sound["mean"], sound["m2"]) == (1.0, 0.0)

    def test_squares__too_large_for_a_float__have_no_m2(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "b"), did(1, 1e200), did(2, 5e199)])
        assert moments(engine, metric(1, Aggregation.SUM)) == {1: (2, pytest.approx(7.5e199), None)}

    def test_largest__of_identities_below_0__is_below_0(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "b"), did(1, -3), did(2, -2), did(2, 0.5), did(2, -0.25)])
        (row,) = aggregates(engine, scope(), metric(1, Aggregation.SUM))
        assert (row["nonzero"], row["with_value"], row["largest"]) == (2, 2, -1.75)

    @pytest.mark.parametrize("idle", [0, 700])
    @pytest.mark.parametrize("mean", [1e9, 1e15])
    def test_moments__of_sd_1_far_from_zero__are_accurate__m5(self, build: Build, mean: float, idle: int) -> None:
        random_numbers = random.Random(9)
        values = [mean + random_numbers.gauss(0, 1) for _ in range(1500)]
        everybody = range(len(values) + idle)
        engine = build([seen(identity, "b") for identity in everybody], list(map(did, everybody, values)))
        assert moments(engine, metric(1, Aggregation.SUM))[1] == near(exact_moments(values + [0.0] * idle))

    def test_sums__of_very_many_small_values__do_not_gather_rounding_errors__m3(self, build: Build) -> None:
        engine = build([seen(1, "b"), did(1, 1e6), *[did(1, 0.1)] * 100_000])
        wanted = float(Fraction(1e6) + 100_000 * Fraction(0.1))
        assert moments(engine, metric(1, Aggregation.SUM))[1] == near((1, wanted, 0.0))

    @pytest.mark.parametrize("threads", [1, 2, 8])
    def test_results__in_any_order_split_and_number_of_threads__are_equal__x5(self, build: Build, threads: int) -> None:
        shuffled = random.Random(threads)
        events = history()
        of, kinds = scope(), tuple(metric(number, kind) for number, kind in enumerate(Aggregation, start=1))
        plain = build(events, threads=1)
        wanted, wanted_buckets = aggregates(plain, of, *kinds), buckets(plain, of)
        shuffled.shuffle(events)
        cut = shuffled.randrange(len(events))
        again = [event for event in events if event.event == "$flag_exposure"][::3]  # seen again changes nothing
        engine = build(events[cut:], again, events[:cut], threads=threads)
        assert buckets(engine, of) == wanted_buckets
        for row, expected in zip(aggregates(engine, of, *kinds), wanted, strict=True):
            assert row == expected | {
                "mean": pytest.approx(expected["mean"], rel=ACCURACY, abs=0),
                "m2": pytest.approx(expected["m2"], rel=ACCURACY, abs=0),
            }

    def test_stamp__is_what_the_stored_first_exposures_were_computed_from__r5(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "b", DAY, batch=2)])
        with pytest.raises(ArtifactMissing, match="first_exposures"):
            engine.stamp("checkout-1")
        for of in (scope(data_version=2), scope(length=HOUR)):
            written = engine.write_first_exposures(of)
            stamp = engine.stamp("checkout-1")
            assert (stamp.window, stamp.data_version, stamp.sql) == (of.window, of.data_version, written.sql)
            assert stamp.partition_key == "checkout-1"

    def test_partitions__are_kept_apart(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "c", feature="banner")])
        banner = replace(scope(), partition_key="banner-2", feature="banner")
        for of in (scope(), banner):
            engine.write_first_exposures(of)
        assert engine.variant_identities(scope()) == {"b": 1}
        assert engine.variant_identities(banner) == {"c": 1}

    @pytest.mark.parametrize("text", ["'; drop table x --", "$as_of", "{}", "ünï\u0000ç", "NULL", "a\tb"])
    def test_names__of_any_text__are_values_and_nothing_else(self, build: Build, text: str) -> None:
        engine = build([seen(1, text, feature=text), did(1, 2, event=text)])
        of = replace(scope(), feature=text)
        rows = aggregates(engine, of, metric(1, Aggregation.SUM, event=text))
        assert [(row["variant"], row["mean"]) for row in rows] == [(text, 2.0)]

    def test_frames__carry_the_sql_that_made_them(self, build: Build) -> None:
        engine = build([seen(1, "b"), did(1, 2)])
        engine.write_first_exposures(scope())
        for frame in (
            engine.exposure_buckets(scope()),
            engine.variant_aggregates(scope(), (metric(1, Aggregation.SUM),)),
        ):
            assert "select" in frame.sql
            assert isinstance(frame.rows, pl.DataFrame)

    def test_count_exposures__of_a_flag_and_a_window__counts_both_and_the_first_time(self, build: Build) -> None:
        late = seen(4, "b", -HOUR, batch=2)
        engine = build(
            [seen(1, "b", -2 * HOUR), seen(1, "b", -HOUR), seen(2, "b", -HOUR), seen(3, "b", 0 * HOUR), late]
        )
        before = Window(STARTED_AT - DAY, STARTED_AT)
        assert engine.count_exposures(scope(), FEATURE, before) == SeenExposures(3, 2, STARTED_AT - 2 * HOUR)
        assert engine.count_exposures(scope(data_version=2), FEATURE, before).identities == 3
        assert engine.count_exposures(scope(), "other", before) == SeenExposures()
        assert build().count_exposures(scope(), FEATURE, before) == SeenExposures()

    def test_exposed_variants__of_all_time__are_counted_by_identity_up_to_a_limit(self, build: Build) -> None:
        long_ago = timedelta(days=-4_000)
        engine = build(
            [seen(1, "b", long_ago), seen(1, "b", HOUR), seen(2, "b", 2 * HOUR), seen(2, "a", HOUR)],
            [seen(3, "b", HOUR, feature="other"), seen(4, "c", HOUR, batch=2), seen(5, "b", DAY), did(6, 1.0)],
        )
        before = STARTED_AT + DAY
        b = ExposedVariant(FEATURE, "b", 2, 3, STARTED_AT + long_ago, STARTED_AT + 2 * HOUR)
        a = ExposedVariant(FEATURE, "a", 1, 1, STARTED_AT + HOUR, STARTED_AT + HOUR)
        other = replace(a, feature="other", variant="b")
        assert engine.exposed_variants("prod", 1, before, 10) == ExposedVariants((b, a, other), 3)
        assert engine.exposed_variants("prod", 1, before, 1) == ExposedVariants((b,), 3)
        assert engine.exposed_variants("prod", 2, before, 10).pairs == 4
        assert build().exposed_variants("prod", 1, before, 10) == ExposedVariants()

    def test_count_saw_another_variant__of_analysed_identities__in_an_earlier_window__x11(self, build: Build) -> None:
        late = seen(4, "a", -HOUR, batch=2)
        earlier = [seen(1, "b", -HOUR), seen(2, "a", -HOUR), seen(2, "b", -2 * HOUR), seen(3, "a", -DAY), late]
        both = [seen(5, "a", -HOUR), seen(5, "a"), seen(5, "b")]
        engine = build([*earlier, *both, seen(6, "a", -HOUR, feature="other")], [seen(n, "b") for n in (1, 2, 3, 4, 6)])
        before = Window(STARTED_AT - 3 * HOUR, STARTED_AT)
        for of, number in ((scope(), 1), (scope(data_version=2), 2), (scope(policy=MultipleExposures.FIRST), 1)):
            engine.write_first_exposures(of)
            assert engine.count_saw_another_variant(of, before) == number
        assert engine.count_saw_another_variant(of, Window(STARTED_AT - 2 * DAY, STARTED_AT)) == 2
        second = replace(scope(), phase=2)
        with pytest.raises(ArtifactMissing, match="in phase 2"):
            engine.count_saw_another_variant(second, before)

    @pytest.mark.parametrize("policy", MultipleExposures)
    def test_first_exposure_counts__by_utc_day__have_everybody_under_either_policy__x3(
        self, build: Build, policy: MultipleExposures
    ) -> None:
        first = [seen(1, "a"), seen(1, "b", 2 * HOUR), seen(2, "a", HOUR), seen(3, "nobody's", HOUR + 30 * MILLISECOND)]
        engine = build(
            [*first, seen(4, "b", 2 * DAY), seen(5, "a", HOUR, batch=2), seen(6, "a", HOUR, feature="other")]
        )
        of = scope(policy=policy)
        engine.write_first_exposures(of)
        by_day = {STARTED_AT.date(): 3, STARTED_AT.date() + 2 * DAY: 1}  # an hour after the start it is 23:30
        assert engine.first_exposure_counts(of) == FirstExposureCounts(by_day, 1, STARTED_AT + HOUR)
        engine = build()
        engine.write_first_exposures(of)
        assert engine.first_exposure_counts(of) == FirstExposureCounts()
        with pytest.raises(ArtifactMissing, match="in phase 2"):
            engine.first_exposure_counts(replace(of, phase=2))

    def test_names__of_flags_and_events__come_with_their_numbers_up_to_a_limit(self, build: Build) -> None:
        events = [seen(1, "b"), seen(2, "b"), seen(1, "b", feature="Checkout"), seen(1, "b", feature="new", batch=2)]
        done = [
            did(1, None, event="view"),
            did(2, None, event="view"),
            did(1, 5.0),
            did(1, None, event="late", batch=2),
        ]
        engine = build(events, done)
        assert list(engine.flag_names(scope(), 10).items()) == [(FEATURE, 2), ("Checkout", 1)]
        assert engine.flag_names(scope(), 1) == {FEATURE: 2}
        assert list(engine.event_names(scope(), [], 10).items()) == [("view", 2), (PURCHASE, 1)]
        assert engine.event_names(scope(), [PURCHASE, "nothing"], 1) == {PURCHASE: 1}
        assert build().event_names(scope(), [PURCHASE], 1) == {}


def history(identities: int = 400) -> list[Event]:
    """Identities in three variants, a few of them flickering, and what they did."""
    numbers = random.Random(5)
    events = []
    for identity in range(identities):
        events.append(seen(identity, numbers.choice("abc"), numbers.random() * LENGTH))
        if numbers.random() < 0.05:
            events.append(seen(identity, numbers.choice("abc"), numbers.random() * LENGTH))
        for _ in range(numbers.randrange(4)):
            number = numbers.choice((None, numbers.lognormvariate(3, 2), -numbers.random()))
            events.append(did(identity, number, numbers.random() * LENGTH))
    return events
