"""Metrics in the registry (rules M1, L3, L4)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from experiment_pipeline.domain.drafts import AttachmentDraft, MetricDraft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection, Metric
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
