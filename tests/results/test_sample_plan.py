"""Plans of samples: from the newest measurement that has the reading, by hand where it can be."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation, Bound, Events, Measure, MeasureWindow
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource, MetricMeasurement
from experiment_pipeline.domain.metrics import Maturity, Mean, Metric
from experiment_pipeline.domain.power_request import PowerRequest
from experiment_pipeline.domain.several_treatments import sample_factor
from experiment_pipeline.errors import ConfigurationError, Conflict
from experiment_pipeline.results.sample_plan import PlanPayload, ReadingPayload, sample_plan

NOW = datetime(2026, 3, 15, tzinfo=UTC)
SUM = Measure(Events("purchase"), Aggregation.SUM)
PLAIN = Metric(1, "prod", "revenue", Mean(SUM))
CAPPED = replace(PLAIN, statistic=Mean(replace(SUM, cap=Bound(at=50.0))))
WITH_PRE_PERIOD = replace(PLAIN, statistic=Mean(SUM, timedelta(days=14)))
TENTH = MeasuredStatistic(VariantAggregate(1001, 0.1, 0.09 * 1000))  # a share of 10 %, its deviation 0.3
HALF_EXPLAINED = replace(TENTH, pre_period=PairAggregate(1001, 0.0, 0.1, 50.0, 90.0, math.sqrt(0.5 * 50 * 90)))
MEASURED = MetricMeasurement(
    1, {}, MeasurementSource.PREVIEW, NOW, Window(NOW - timedelta(days=14), NOW), 3, 14_000, TENTH
)
ONE_LOOK = 14_128  # an arm, for a lift of 10 % of 0.1: two-sided 5 %, 80 % power


def planned(*measured: MetricMeasurement, metric: Metric = PLAIN, **asked: Any) -> PlanPayload:
    return sample_plan(metric, measured or [MEASURED], PowerRequest("revenue", **asked))


def only(plan: PlanPayload) -> ReadingPayload:
    (reading,) = plan["readings"]
    return reading


def test_plan__of_two_variants__has_the_sample_of_one_look_and_of_every_look() -> None:
    plan = planned(mde=0.1)
    reading = only(plan)
    assert reading["level"] == 0.1
    assert reading["standard_deviation"] == pytest.approx(0.3)
    assert reading["once"] == {
        "per_variant": ONE_LOOK, "identities": 2 * ONE_LOOK, "days": pytest.approx(28.256), "reason": None,
    }  # fmt: skip
    every_look = math.ceil(sample_factor(1) * ONE_LOOK)
    assert reading["every_look"] == {
        "per_variant": every_look, "identities": 2 * every_look, "days": pytest.approx(2 * every_look / 1000),
        "reason": None,
    }  # fmt: skip
    assert (plan["traffic"], plan["measured"]["source"]) == (1000, "preview")
    assert plan["measured"]["as_of"] == "2026-03-15T00:00:00Z"


def test_plan__of_several_treatments__is_at_their_share_of_alpha() -> None:
    reading = only(planned(mde=0.1, variants=5))
    single_at_a_quarter = only(planned(mde=0.1, alpha=0.05 / 4))["once"]
    assert reading["once"] is not None
    assert single_at_a_quarter is not None
    assert reading["once"]["per_variant"] == single_at_a_quarter["per_variant"]
    assert reading["once"]["identities"] == 5 * (reading["once"]["per_variant"] or 0)
    assert reading["every_look"] is not None
    assert reading["every_look"]["per_variant"] == math.ceil(sample_factor(4) * ONE_LOOK)


def test_plan__what_is_detectable__is_the_lift_that_takes_that_sample() -> None:
    reading = only(planned(traffic=2 * ONE_LOOK / 14))
    after = {each["days"]: each for each in reading["detectable"]}
    assert list(after) == [7, 14, 28, 56]
    assert after[14]["identities"] == 2 * ONE_LOOK
    assert after[14]["once"] == pytest.approx(0.1, rel=1e-4)
    assert after[14]["every_look"] == pytest.approx(0.1 * math.sqrt(sample_factor(1)), rel=1e-4)
    assert after[56]["once"] == pytest.approx(0.05, rel=1e-4)
    assert (reading["once"], reading["every_look"]) == (None, None)


def test_plan__adjusted_for_a_pre_period_that_explains_half__takes_half() -> None:
    measured = replace(MEASURED, statistic=HALF_EXPLAINED)
    plain, adjusted = planned(measured, metric=WITH_PRE_PERIOD, mde=0.1)["readings"]
    assert (plain["adjusted"], adjusted["adjusted"]) == (False, True)
    assert plain["variance_reduction"] is None
    assert adjusted["variance_reduction"] == pytest.approx(0.5)
    assert adjusted["once"] is not None
    assert adjusted["once"]["per_variant"] == ONE_LOOK / 2
    assert only(planned(measured, metric=WITH_PRE_PERIOD, mde=0.1, covariate=True)) == adjusted
    assert only(planned(measured, metric=WITH_PRE_PERIOD, mde=0.1, covariate=False)) == plain


def test_plan__with_a_cap__has_both_readings_where_both_are_known() -> None:
    uncapped = MeasuredStatistic(VariantAggregate(1001, 0.1, 4 * 0.09 * 1000))
    measured = replace(MEASURED, uncapped=uncapped)
    capped, plain = planned(measured, metric=CAPPED, mde=0.1)["readings"]
    assert (capped["capped"], plain["capped"]) == (True, False)
    assert plain["standard_deviation"] == pytest.approx(2 * capped["standard_deviation"])
    refreshed = replace(MEASURED, source=MeasurementSource.REFRESH)  # without what is uncapped
    assert planned(refreshed, measured, metric=CAPPED)["measured"]["source"] == "refresh"
    found = planned(refreshed, measured, metric=CAPPED, cap=False)
    assert (found["measured"]["source"], only(found)["capped"]) == ("preview", False)


def test_plan__of_a_metric_over_some_identities__counts_those_that_it_is_not_over() -> None:
    once = only(planned(replace(MEASURED, share_in_metric=0.25), mde=0.1))["once"]
    assert once is not None
    assert (once["per_variant"], once["identities"]) == (ONE_LOOK, 8 * ONE_LOOK)


def test_plan__over_complete_windows__waits_for_the_last_one() -> None:
    measure = replace(SUM, events=Events("purchase", window=MeasureWindow(end=timedelta(days=7))))
    complete = replace(PLAIN, statistic=Mean(measure), maturity=Maturity.COMPLETE)
    once, now = only(planned(metric=complete, mde=0.1))["once"], only(planned(mde=0.1))["once"]
    assert once is not None
    assert now is not None
    assert once["days"] == pytest.approx((now["days"] or 0) + 7)
    assert [each["identities"] for each in only(planned(metric=complete))["detectable"]] == [0, 7000, 21000, 49000]


@pytest.mark.parametrize(
    ("statistic", "asked", "reason"),
    [
        (MeasuredStatistic(VariantAggregate(9, 0.0, 4.0)), {}, "level_is_zero"),
        (MeasuredStatistic(VariantAggregate(9, 2.0, 0.0)), {}, "no_variance"),
        (TENTH, {"mde": 1e-12}, "effect_too_small"),
    ],
)
def test_plan__that_cannot_be__says_why(statistic: MeasuredStatistic, asked: dict[str, Any], reason: str) -> None:
    reading = only(planned(replace(MEASURED, statistic=statistic), **{"mde": 0.1, **asked}))
    assert reading["once"] == {"per_variant": None, "identities": None, "days": None, "reason": reason}
    assert reading["every_look"] == reading["once"]
    if reason != "effect_too_small":
        assert {each["reason"] for each in reading["detectable"]} == {reason}


def test_plan__of_another_power__has_no_factor_for_every_look() -> None:
    reading = only(planned(mde=0.1, power=0.9))
    assert reading["once"] is not None
    assert reading["once"]["reason"] is None
    assert reading["every_look"] is not None
    assert reading["every_look"]["reason"] == "no_factor_for_this_design"
    assert [(each["every_look"], each["reason"]) for each in reading["detectable"]] == [
        (None, "no_factor_for_this_design")
    ] * 4


def test_plan__without_traffic__has_no_days() -> None:
    nobody = replace(MEASURED, identities=0)
    reading = only(planned(nobody, mde=0.1))
    assert reading["once"] is not None
    assert (reading["once"]["days"], reading["once"]["reason"]) == (None, "no_traffic_yet")
    assert reading["detectable"] == []


def test_plan__of_nothing_measured__says_what_to_run() -> None:
    with pytest.raises(Conflict) as refused:
        sample_plan(PLAIN, [], PowerRequest("revenue"))
    assert str(refused.value) == (
        "Nothing is measured of 'revenue', as it is defined now. Run `experiment-pipeline metrics preview revenue`, or "
        "refresh an experiment that uses it."
    )
    with pytest.raises(Conflict, match="of 'revenue' without its cap and floor, as it is defined"):
        planned(metric=CAPPED, cap=False)
    with pytest.raises(Conflict, match="with a pre-period that varies"):
        planned(metric=WITH_PRE_PERIOD, covariate=True)


def test_plan__with_what_the_metric_has_not__is_refused() -> None:
    with pytest.raises(ConfigurationError, match="covariate: 'revenue' has no pre-period"):
        planned(covariate=True)
    with pytest.raises(ConfigurationError, match="cap: 'revenue' has no cap"):
        planned(cap=True)
