"""What every engine must do for previews: one metric over all identities together (rules M2-M14); inherit it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from experiment_pipeline.domain.aggregates import PairAggregate, QuantileEstimate, VariantAggregate
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation, Bound, Events, Measure, MeasureWindow
from experiment_pipeline.domain.metric_preview import POOLED, Bin, MetricPreview, ValueCount
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Statistic
from experiment_pipeline.errors import ArtifactMissing
from experiment_pipeline.warehouse.base import LakeWarehouse as Warehouse
from tests.warehouse.contract import (
    ACCURACY,
    DAY,
    HOUR,
    LENGTH,
    MILLISECOND,
    PURCHASE,
    STARTED_AT,
    Build,
    did,
    scope,
    seen,
)
from tests.warehouse.measures_contract import assert_near, crowd

SUM = Measure(Events(PURCHASE), Aggregation.SUM)
COUNT = Measure(Events(PURCHASE), Aggregation.COUNT)


def everybody(length: timedelta = LENGTH, data_version: int = 1) -> AnalysisScope:
    window = Window(STARTED_AT, STARTED_AT + length)
    return AnalysisScope("preview-0", "prod", None, window, data_version)


def previewed(
    engine: Warehouse, of: AnalysisScope, statistic: Statistic, maturity: Maturity = Maturity.ALL
) -> MetricPreview:
    found = engine.preview_metric(of, Metric(1, "prod", "m", statistic, maturity=maturity), lambda _, __: None)
    assert found is not None
    return found


def near(found: VariantAggregate | None, *values: float) -> bool:
    wanted = VariantAggregate.of(values)
    assert found is not None
    moments = (found.mean, found.m2)
    return found.n == wanted.n and moments == pytest.approx((wanted.mean, wanted.m2), rel=ACCURACY, abs=0)


class PreviewContract:
    """Inherit, and give `build`."""

    def test_preview__of_an_experiment__pools_its_variants_and_leaves_out_who_is_not_analysed__x3(
        self, build: Build
    ) -> None:
        quarantined = [seen(9, "a"), seen(9, "b", 2 * HOUR), did(9, 1000)]
        engine = build([*crowd([1, 0, 2.5], "a"), *crowd([4, 2.5], "b", 4), *crowd([90], "holdout", 6), *quarantined])
        found = previewed(engine, replace(scope(), variants=("a", "b")), Mean(SUM))
        assert near(found.aggregates.by_variant[POOLED], 1, 0, 2.5, 4, 2.5)
        assert (found.identities, found.mature, found.n) == (5, 5, 5)
        assert found.values is not None
        assert (found.values.n, found.values.zeros) == (5, 1)
        assert (found.values.smallest, *found.values.quantiles, found.values.largest) == (0, 0, 1, 2.5, 2.5, 4, 4, 4)
        assert found.values.top == (ValueCount(2.5, 2),)

    def test_preview__of_an_experiment__leaves_its_artifacts_as_they_are(self, build: Build) -> None:
        engine = build(crowd([1, 2]))
        previewed(engine, scope(), Mean(SUM))
        with pytest.raises(ArtifactMissing):
            engine.stamp(scope().partition_key)
        engine.write_first_exposures(scope())
        before = engine.stamp(scope().partition_key)
        previewed(engine, replace(scope(), window=Window(STARTED_AT, STARTED_AT + DAY)), Mean(SUM))
        assert engine.stamp(scope().partition_key) == before

    def test_preview__of_everybody__counts_each_from_its_first_event_in_the_window(self, build: Build) -> None:
        within_an_hour = replace(SUM, events=Events(PURCHASE, window=MeasureWindow(end=HOUR)))
        engine = build([
            did(1, 5, HOUR),  # the first event counts itself
            did(1, 7, 2 * HOUR),  # at the end of the window of its measure
            did(2, 3, HOUR, event="other"),  # nothing that the metric counts, and an identity all the same
            seen(3, "a", HOUR), did(3, 11, HOUR + 30 * timedelta(minutes=1)),
            did(4, 13, LENGTH),  # after the end
            did(5, 17, -MILLISECOND), did(5, 19, 2 * HOUR),  # what came before the window does not start it
            did(6, 23, HOUR, batch=2),  # of a later data version
        ])  # fmt: skip
        found = previewed(engine, everybody(), Mean(within_an_hour))
        assert near(found.aggregates.by_variant[POOLED], 5, 0, 11, 19)

    def test_preview__with_a_pre_period__reads_events_before_the_window__m11(self, build: Build) -> None:
        engine = build([*crowd([4, 6, 9]), did(1, 1, -HOUR), did(2, 3, -2 * HOUR), did(3, 8, -2 * DAY)])
        found = previewed(engine, scope(), Mean(SUM, covariate_before=DAY))
        assert_near(found.aggregates.joint[POOLED], [(1, 4), (3, 6), (0, 9)])
        assert found.second_values is not None
        assert (found.second_values.zeros, found.second_values.largest) == (1, 3)

    def test_preview__with_a_cap__shows_values_before_it_and_moments_with_and_without__m10(self, build: Build) -> None:
        engine = build([*crowd([1, 2, 3, 50]), *crowd([0, 0, 4], "a", 5)])
        found = previewed(engine, scope(), Mean(replace(SUM, cap=Bound(percentile=80, of_nonzero=True))))
        assert near(found.aggregates.by_variant[POOLED], 1, 2, 3, 4, 0, 0, 4)
        bounds, uncapped = found.aggregates.bounds, found.uncapped
        assert bounds is not None
        assert (bounds.cap, bounds.capped) == (4, {POOLED: 1})
        assert uncapped is not None
        assert (uncapped.bounds, near(uncapped.by_variant[POOLED], 1, 2, 3, 50, 0, 0, 4)) == (None, True)
        assert found.values is not None
        assert found.values.largest == 50

    def test_preview__of_a_ratio__has_both_distributions__m9(self, build: Build) -> None:
        engine = build([*crowd([4, 6]), did(1, 2), seen(3, "a")])
        found = previewed(engine, scope(), Ratio(SUM, COUNT))
        assert_near(found.aggregates.joint[POOLED], [(2, 6), (1, 6), (0, 0)])
        assert found.values is not None
        assert found.second_values is not None
        assert (found.values.top, found.second_values.largest) == ((ValueCount(6, 2),), 2)
        assert PairAggregate.of([(2, 6)]).n == 1

    def test_preview__of_a_quantile_of_events__is_over_events__m12(self, build: Build) -> None:
        engine = build([*crowd([float(value) for value in range(1, 40)]), did(1, 1000)])
        found = previewed(engine, scope(), Quantile(0.9, Events(PURCHASE)))
        assert found.values is not None
        assert (found.values.n, found.values.largest) == (40, 1000)
        estimate = found.aggregates.quantiles[POOLED]
        assert isinstance(estimate, QuantileEstimate)
        assert (estimate.n, estimate.value) == (39, 36)

    def test_preview__of_a_funnel__has_its_steps__m14(self, build: Build) -> None:
        reaches_both = [seen(1, "a"), did(1, 1, event="cart"), did(1, 1, 3 * HOUR)]
        engine = build([*reaches_both, seen(2, "b"), did(2, 1), seen(3, "b"), did(3, 1, event="cart")])
        found = previewed(engine, scope(), Funnel((Events("cart"), Events(PURCHASE))))
        steps = {group.name: each.by_variant[POOLED] for group, each in found.aggregates.groups.items()}
        assert {name: each and each.sum for name, each in steps.items()} == {"1": 2, "2": 1}
        assert near(found.aggregates.by_variant[POOLED], 1, 0, 0)

    def test_preview__of_complete_windows_alone__tells_who_waits__m8(self, build: Build) -> None:
        engine = build([*crowd([4]), seen(2, "a", LENGTH - HOUR), did(2, 5, LENGTH - HOUR)])
        complete = replace(SUM, events=Events(PURCHASE, window=MeasureWindow(end=DAY)))
        found = previewed(engine, scope(), Mean(complete), Maturity.COMPLETE)
        assert (found.identities, found.mature, found.n) == (2, 1, 1)

    def test_preview__of_many_different_values__has_a_histogram_of_round_bars(self, build: Build) -> None:
        engine = build(crowd([float(value) for value in range(1, 101)]))
        values = previewed(engine, scope(), Mean(SUM)).values
        assert values is not None
        assert values.top == ()
        assert values.bins[0] == Bin(0, 10, 9)
        assert values.bins[1:] == (*(Bin(low, low + 10, 10) for low in range(10, 100, 10)), Bin(100, None, 1))

    def test_preview__of_nobody__is_none(self, build: Build) -> None:
        assert build([did(1, 1)]).preview_metric(scope(), Metric(1, "prod", "m", Mean(SUM)), lambda _, __: None) is None
        assert build().preview_metric(everybody(), Metric(1, "prod", "m", Mean(SUM)), lambda _, __: None) is None

    def test_event_times__of_an_environment__are_its_first_and_last_of_a_data_version(self, build: Build) -> None:
        engine = build([did(1, 1, HOUR), did(2, 1, 5 * HOUR), did(3, 1, 3 * HOUR), did(4, 1, 9 * HOUR, batch=2)])

        def times(before: datetime) -> tuple[timedelta, timedelta] | None:
            found = engine.event_times("prod", 1, before)
            return found and (found[0] - STARTED_AT, found[1] - STARTED_AT)

        assert times(STARTED_AT + DAY) == (HOUR, 5 * HOUR)
        assert times(STARTED_AT + 5 * HOUR) == (HOUR, 3 * HOUR)
        assert times(STARTED_AT) is None
