"""Planned looks decide where the design plans them: stored, passed in, and never computed again (rules C7, C8)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, ValueSummary, VariantAggregate
from experiment_pipeline.domain.experiments import Design, Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection, Mean, Metric
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.model import ExperimentResults
from experiment_pipeline.stats.group_sequential import spending_boundaries
from tests.results.subjects import CONTROL, PURCHASE, experiment, metric_payload, rate

DESIGN = Design(mde=0.1, baseline=0.5, n_looks=4)  # the planned end is at 1,570 identities an arm of 50 %
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def at(
    n: int,
    rates: tuple[float, ...],
    stored: Sequence[PlannedLookOf] = (),
    subject: Experiment | None = None,
    *,
    hours: int = 0,
    counts: dict[str, int] | None = None,
) -> ExperimentResults:
    """Return the results at n identities an arm with these conversion rates, control's first."""
    moments: dict[str, VariantAggregate | None] = {
        key: rate(n, round(share * n)) for key, share in zip(("control", "b", "c"), rates, strict=False)
    }
    return compute_results(
        subject or experiment(design=DESIGN),
        counts or dict.fromkeys(moments, n),
        [MetricAggregates(7, moments)],
        Floors(),
        as_of=NOW + timedelta(hours=hours),
        planned_looks=stored,
    )


def shown(computed: ExperimentResults) -> dict[str, Any]:
    return metric_payload(computed)


def test_looks__of_a_planned_design__decide_and_the_interval_of_every_refresh_does_not__c8() -> None:
    first = at(500, (0.5, 0.5))
    metric = shown(first)
    looked = metric["planned_looks"]["b"]
    assert [each["number"] for each in looked["looks"]] == [1]
    fraction = looked["information_fraction"]
    assert fraction == pytest.approx(250 * 0.1**2 / 7.8489, rel=3e-3)
    assert (
        looked["looks"][0]["boundary"]
        == looked["boundary_in_force"]
        == pytest.approx(spending_boundaries([fraction])[0])
    )
    assert (metric["verdict"], metric["reason"]) == ({"b": "inconclusive"}, {"b": None})
    between = shown(at(700, (0.4, 0.6), first.new_planned_looks, hours=1))
    assert between["anytime"]["b"]["ci_low"] > 0, "refreshes alone would call it"
    assert between["verdict"] == {"b": "inconclusive"}, "it is no planned look"
    assert between["planned_looks"]["b"]["looks"] == looked["looks"]
    second = shown(at(1_000, (0.4, 0.6), first.new_planned_looks, hours=2))
    assert [each["number"] for each in second["planned_looks"]["b"]["looks"]] == [1, 2]
    assert second["planned_looks"]["b"]["looks"][1]["as_of"] == "2026-11-01T02:00:00Z"
    assert second["verdict"] == {"b": "winning"}


def test_looks__stored__are_never_computed_again_and_the_verdict_is_the_last_ones__c7() -> None:
    first = at(1_000, (0.4, 0.6))
    (stored,) = first.new_planned_looks
    assert (stored.look.number, stored.look.crossed, stored.metric_id, stored.treatment) == (2, True, 7, "b")
    later = at(1_010, (0.6, 0.4), (stored,), hours=1)
    assert later.new_planned_looks == ()
    metric = shown(later)
    assert metric["verdict"] == {"b": "winning"}, "the last look's, whatever came since"
    again = at(1_010, (0.6, 0.4), (stored,), hours=1)
    assert shown(again) == metric
    over = at(9_000, (0.6, 0.4), (stored,), hours=2)
    assert shown(over)["verdict"] == {"b": "losing"}
    assert [look.look.number for look in over.new_planned_looks] == [4]


def test_looks__before_the_first__are_collecting_data_with_that_reason() -> None:
    metric = shown(at(100, (0.4, 0.6)))
    assert (metric["verdict"], metric["reason"]) == ({"b": "collecting_data"}, {"b": "before_first_planned_look"})
    looked = metric["planned_looks"]["b"]
    assert (looked["n_looks"], looked["looks"], looked["boundary_in_force"]) == (4, [], None)
    assert (looked["reason"], 0 < looked["information_fraction"] < 0.25) == ("before_first_planned_look", True)


def test_looks__metric_where_lower_is_better__wins_by_a_fall() -> None:
    subject = experiment(metric=replace(PURCHASE, direction=Direction.DOWN), design=DESIGN)
    assert shown(at(9_000, (0.6, 0.4), subject=subject))["verdict"] == {"b": "winning"}


def test_looks__two_treatments__share_alpha_and_are_looked_at_each_by_itself__c7() -> None:
    variants = (CONTROL, *(Variant(key, VariantRole.TREATMENT, 100 / 3) for key in "bc"))
    metric = shown(at(700, (0.5, 0.5, 0.5), subject=experiment(variants, design=DESIGN)))
    (look,) = metric["planned_looks"]["b"]["looks"]
    planned = 9.5049 / 0.1**2  # of quantiles at half of alpha
    assert look["information_fraction"] == pytest.approx(350 / planned, rel=3e-3)
    assert look["boundary"] == pytest.approx(spending_boundaries([look["information_fraction"]], 0.025)[0])


def test_looks__while_the_split_is_not_trustworthy__are_not_taken__s3() -> None:
    computed = at(9_000, (0.4, 0.6), counts={"control": 9_000, "b": 10_000})
    assert computed.new_planned_looks == ()
    assert shown(computed)["verdict"] == {"b": "collecting_data"}


def test_looks__taken_before_the_split_broke__say_nothing_while_it_is_broken__s3() -> None:
    stored = at(9_000, (0.4, 0.6)).new_planned_looks
    computed = at(9_100, (0.4, 0.6), stored, counts={"control": 9_100, "b": 10_100})
    assert shown(computed)["verdict"] == {"b": "inconclusive"}


def test_looks__without_an_as_of__are_not_taken() -> None:
    moments: dict[str, VariantAggregate | None] = {"control": rate(9_000, 4_000), "b": rate(9_000, 5_000)}
    computed = compute_results(
        experiment(design=DESIGN), dict.fromkeys(moments, 9_000), [MetricAggregates(7, moments)], Floors()
    )
    assert computed.new_planned_looks == ()


@pytest.mark.parametrize(
    ("design", "changes"),
    [
        (replace(DESIGN, n_looks=1), {}),
        (replace(DESIGN, mde=None, baseline=None), {}),
        (replace(DESIGN, power=0.01), {}),
        (DESIGN, {"margin": 0.05, "expected_direction": ExpectedDirection.NOT_DECREASE}),
    ],
)
def test_looks__without_a_complete_plan__decides_at_every_refresh__c8(design: Design, changes: dict[str, Any]) -> None:
    subject = experiment(design=design)
    subject = replace(subject, metrics=(replace(subject.metrics[0], **changes),))
    metric = shown(at(9_000, (0.4, 0.6), subject=subject))
    assert "planned_looks" not in metric
    assert metric["verdict"]["b"] in ("winning", "ok")


def test_looks__secondary_metric__has_none() -> None:
    later = replace(PURCHASE, id=8)
    subject = experiment(design=DESIGN)
    subject = replace(subject, metrics=(*subject.metrics, replace(subject.metrics[0], metric=later)))
    moments: dict[str, VariantAggregate | None] = {"control": rate(9_000, 4_000), "b": rate(9_000, 5_000)}
    found = [MetricAggregates(7, moments), MetricAggregates(8, moments)]
    computed = compute_results(subject, dict.fromkeys(moments, 9_000), found, Floors(), as_of=NOW)
    assert [each.metric_id for each in computed.new_planned_looks] == [7]
    assert [comparison.planned is None for each in computed.metrics for comparison in each.comparisons] == [False, True]


def of_values(aggregation: Aggregation, standard_deviation: float | None) -> tuple[Experiment, dict[str, Any]]:
    """Return a design for a mean of values, and the metric where the treatment is far ahead."""
    statistic = Mean(Measure(Events("order"), aggregation))
    design = replace(DESIGN, standard_deviation=standard_deviation)
    subject = experiment(metric=Metric(7, "prod", "spent", statistic), design=design)
    moments: dict[str, VariantAggregate | None] = {
        key: VariantAggregate(20_000, mean, 20_000.0) for key, mean in (("control", 1.0), ("b", 1.3))
    }
    nonzero = {key: ValueSummary(15_000, 20_000, 9.0, 20_000.0) for key in moments}
    values = dict.fromkeys(moments, 20_000)
    found = MetricAggregates(7, moments, values, dict.fromkeys(moments, 0), of_identities=nonzero)
    computed = compute_results(subject, values, [found], Floors(), as_of=NOW)
    return subject, metric_payload(computed)


def test_looks__mean_of_values__decide_where_its_spread_is_planned__c8() -> None:
    subject, metric = of_values(Aggregation.SUM, 1.0)
    assert (subject.has_planned_looks, subject.looks_lack) == (True, "")
    assert [look["number"] for look in metric["planned_looks"]["b"]["looks"]] == [4]
    assert metric["verdict"] == {"b": "winning"}
    subject, metric = of_values(Aggregation.SUM, None)
    assert subject.looks_lack == "without standard_deviation, since the primary metric is no share of identities"
    assert ("planned_looks" in metric, metric["verdict"]) == (False, {"b": "winning"})


def test_looks__metric_whose_evidence_no_design_plans__says_so_and_decides_at_every_refresh__c7() -> None:
    _, metric = of_values(Aggregation.MAX, 1.0)
    looked = metric["planned_looks"]["b"]
    assert (looked["reason"], looked["looks"], looked["information_fraction"]) == ("evidence_not_planned", [], None)
    assert (metric["verdict"], metric["reason"]) == ({"b": "winning"}, {"b": None})
