"""Metrics in the registry (rules M1, M17, L3, L4)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.definitions import definition_of
from experiment_pipeline.domain.drafts import AttachmentDraft, MetricDraft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.measures import Aggregation, Bound, Condition, Events, Measure, Operator
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection, Mean, Metric
from experiment_pipeline.errors import ConfigurationError, Conflict, NotFound
from experiment_pipeline.registry.registry import Registry
from tests.metrics import version_1
from tests.registry.conftest import ACTOR, NOW, draft


def create(registry: Registry, name: str = "revenue", **changes: object) -> Metric:
    values: dict[str, object] = {"aggregation": Aggregation.SUM, "definition": {"version": 1, "event": "purchase"}}
    wanted = MetricDraft(name=name, **{**values, **changes})  # type: ignore[arg-type]
    return registry.metrics.create("production", wanted, actor=ACTOR, now=NOW)


def attach(registry: Registry, metric: Metric, *steps: ExperimentStatus) -> int:
    wanted = draft(metrics=(AttachmentDraft(metric.id, ExpectedDirection.INCREASE),))
    experiment = registry.experiments.create("production", wanted, actor=ACTOR, now=NOW)
    for step in steps:
        registry.experiments.transition(experiment.id, step, actor=ACTOR, now=NOW)
    return experiment.id


def test_create__read_back__is_the_same_by_id_and_name(registry: Registry) -> None:
    created = create(registry, direction=Direction.DOWN, description="x", window=timedelta(days=7))
    assert created == version_1(
        created.id, "production", "revenue", "purchase", Aggregation.SUM, Direction.DOWN, "x", timedelta(days=7)
    )
    assert created == registry.metrics.find("production", created.id) == registry.metrics.find("production", "revenue")


def test_create__name_that_is_taken__is_a_conflict_until_the_other_is_deleted(registry: Registry) -> None:
    first = create(registry)
    with pytest.raises(Conflict, match="'revenue'"):
        create(registry)
    registry.metrics.delete("production", first.id, actor=ACTOR, now=NOW)
    assert create(registry).id > first.id


def test_change__not_attached_to_anything_that_started__everything(registry: Registry) -> None:
    metric = create(registry)
    attach(registry, metric)
    changed = registry.metrics.change(
        "production",
        metric.id,
        lambda now: replace(now, name="sales", aggregation=Aggregation.MEAN, definition={"version": 1, "event": "buy"}),
        actor=ACTOR,
        now=NOW,
    )
    assert (changed.name, changed.aggregation, changed.event_names) == ("sales", Aggregation.MEAN, ("buy",))
    assert registry.metrics.find("production", "sales") == changed


def test_change__attached_to_a_started_experiment__name_and_description_alone(registry: Registry) -> None:
    metric = create(registry)
    attach(registry, metric, ExperimentStatus.RUNNING)
    renamed = registry.metrics.change(
        "production", metric.id, lambda now: replace(now, name="sales", description="y"), actor=ACTOR, now=NOW
    )
    assert renamed.name == "sales"
    with pytest.raises(ConfigurationError) as refused:
        registry.metrics.change(
            "production",
            metric.id,
            lambda now: replace(now, definition={"version": 1, "event": "other"}, window=timedelta(days=1)),
            actor=ACTOR,
            now=NOW,
        )
    frozen = ["Cannot be changed: the metric is attached to an experiment that has started."]
    assert refused.value.errors == {"definition": frozen, "window": frozen}


MEAN: dict[str, object] = {"event": "bought", "aggregation": "sum", "where": [{"field": "value", "is": 1}]}


def version_2(measure: dict[str, object]) -> dict[str, Any]:
    return {"aggregation": None, "definition": {"version": 2, "statistic": "mean", "measure": measure}}


def test_create__version_2__is_read_back_as_it_was_meant(registry: Registry) -> None:
    created = create(registry, **version_2({**MEAN, "cap": {"percentile": 99.5}}), unit="EUR")
    measure = Measure(
        Events("bought", (Condition("value", Operator.IS, 1),)), Aggregation.SUM, cap=Bound(percentile=99.5)
    )
    assert created == Metric(created.id, "production", "revenue", Mean(measure), unit="EUR")
    assert registry.metrics.list("production") == [created]
    experiment_id = attach(registry, created)
    assert [each.metric for each in registry.experiments.get(experiment_id).metrics] == [created]
    (line,) = registry.audit.list("production", subject=f"metric:{created.id}")
    assert line.after is not None
    assert line.after["definition"] == definition_of(created)


def test_change__version_2_of_a_started_experiment__is_frozen_but_for_its_spelling__m17(registry: Registry) -> None:
    metric = create(registry, **version_2(MEAN))
    attach(registry, metric, ExperimentStatus.RUNNING)

    def change(definition: object, **further: Any) -> Metric:
        def revise(now: MetricDraft) -> MetricDraft:
            return replace(now, definition=definition, **further)

        return registry.metrics.change("production", metric.id, revise, actor=ACTOR, now=NOW)

    spelled = {**MEAN, "where": [{"field": "value", "is": 1.0}], "window": {"from": 0}, "cap": None}
    assert change(version_2(spelled)["definition"], unit="EUR") == replace(metric, unit="EUR")
    for other in ({**MEAN, "where": [{"field": "value", "is": True}]}, {**MEAN, "slice_by": "metadata.a"}):
        with pytest.raises(ConfigurationError) as refused:
            change(version_2(other)["definition"])
        assert list(refused.value.errors) == ["definition"]
    with pytest.raises(ConfigurationError) as refused:
        change({"version": 1, "event": "bought"}, aggregation=Aggregation.SUM, unit="")
    assert list(refused.value.errors) == ["definition"]


def test_change__to_a_name_that_is_taken__is_a_conflict(registry: Registry) -> None:
    create(registry, "other")
    metric = create(registry)
    with pytest.raises(Conflict, match="'other'"):
        registry.metrics.change("production", metric.id, lambda now: replace(now, name="other"), actor=ACTOR, now=NOW)


def test_delete__attached_to_an_active_experiment__is_refused_until_it_is_completed(registry: Registry) -> None:
    metric = create(registry)
    experiment_id = attach(registry, metric, ExperimentStatus.RUNNING)
    with pytest.raises(Conflict, match=r"^Cannot delete a metric attached to an active experiment\. Detach it or"):
        registry.metrics.delete("production", metric.id, actor=ACTOR, now=NOW)
    registry.experiments.transition(experiment_id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    registry.metrics.delete("production", metric.id, actor=ACTOR, now=NOW)
    with pytest.raises(NotFound):
        registry.metrics.find("production", metric.id)
    assert [each.metric for each in registry.experiments.get(experiment_id).metrics] == [metric]


def test_list__search_and_pages__newest_first(registry: Registry) -> None:
    created = [create(registry, name) for name in ("Revenue", "orders", "revenue_eu")]
    assert registry.metrics.list("production") == created[::-1]
    assert registry.metrics.list("production", search="REV", limit=1, offset=1) == [created[0]]
    assert registry.metrics.count("production", search="rev") == 2


def test_find__of_another_environment__is_not_found(registry: Registry) -> None:
    metric = create(registry)
    for reference in (metric.id, metric.name, 2**70, 0):
        with pytest.raises(NotFound):
            registry.metrics.find("staging", reference)
