"""Metrics whose event never came, or came of nobody who was exposed."""

import json
from collections.abc import Mapping
from dataclasses import replace

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Condition, Events, Measure, Operator
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection, Funnel, Mean, Statistic
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.health.metric_events import CHECK
from experiment_pipeline.results.compute import compute_results
from tests.health.test_split import CHECKOUT
from tests.metrics import version_1

COUNTS = {"control": 50, "b": 50}


def found(
    events: Mapping[str, int] | None, event: str = "purchase", mean: float = 0.0, statistic: Statistic | None = None
) -> Finding:
    measured = version_1(1, "prod", "bought", event, Aggregation.OCCURRENCE, Direction.UP)
    measured = measured if statistic is None else replace(measured, statistic=statistic, version=2)
    experiment = replace(CHECKOUT, metrics=(AttachedMetric(measured, ExpectedDirection.INCREASE),))
    arms: dict[str, VariantAggregate | None] = {
        key: VariantAggregate(n, mean, n * mean * (1 - mean)) for key, n in COUNTS.items()
    }
    aggregates = (MetricAggregates(1, arms),)
    results = compute_results(experiment, COUNTS, aggregates, Floors())
    return CHECK.judge(HealthInputs(experiment, aggregates, results, COUNTS, LakeCounts(events)))


def test_metric_events__metric_with_events__passes() -> None:
    assert found(None, mean=0.5).passed


def test_metric_events__that_never_came__are_named_with_the_nearest_that_did() -> None:
    finding = found({"page_view": 900, "Purchase": 40, "purchases": 3})
    assert (finding.code, finding.severity) == ("metric_event_missing", Severity.ERROR)
    assert finding.detail == (
        "bought: the event 'purchase' never came to prod in the months of the experiment. Near it: 'Purchase' (40), "
        "'purchases' (3)."
    )
    shown = {"event": "purchase", "events": 0, "nearest": {"Purchase": 40, "purchases": 3}}
    assert json.loads(json.dumps(finding.evidence)) == {"metrics": {"bought": shown}}


def test_metric_events__with_nothing_near__show_what_came_most() -> None:
    assert "Most frequent: 'page_view' (900), 'login' (12)." in found({"page_view": 900, "login": 12}).detail
    assert "No events but exposures came." in found({}).detail


def test_metric_events__of_nobody_who_was_exposed__are_a_question_of_identifiers() -> None:
    finding = found({"purchase": 4_000})
    assert (finding.code, finding.severity) == ("metric_events_of_others", Severity.WARNING)
    assert finding.detail.startswith("bought: 4,000 events 'purchase' came, none of an identity after its exposure.")
    assert "same identifier" in finding.detail


def test_metric_events__that_meet_no_condition__are_a_question_of_what_the_metric_asks_for() -> None:
    expensive = Events("purchase", where=(Condition("value", Operator.AT_LEAST, 100_000),))
    steps = (Events("purchase"), Events("purchase"))
    for statistic in (Mean(Measure(expensive, Aggregation.SUM)), Funnel(steps)):
        detail = found({"purchase": 4_000}, statistic=statistic).detail
        assert "no identity has what the metric asks for after its exposure" in detail
        assert "identifier" not in detail
