"""Attaching metrics to an experiment, one at a time (rules L3, L4, M1, M22)."""

from dataclasses import replace

import pytest

from experiment_pipeline.domain.drafts import AttachmentDraft, MetricDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Metric
from experiment_pipeline.errors import ConfigurationError, NotAllowed, NotFound
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, NOW, draft

UP, DOWN = ExpectedDirection.INCREASE, ExpectedDirection.DECREASE


@pytest.fixture
def metrics(registry: Registry) -> list[Metric]:
    return [
        registry.metrics.create(
            "production", MetricDraft(name, {"version": 1, "event": name}, Aggregation.COUNT), actor=ACTOR, now=NOW
        )
        for name in ("signup", "purchase")
    ]


@pytest.fixture
def created(registry: Registry) -> Experiment:
    return registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)


def test_attach__one_after_the_other__is_the_last_each_time(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    for metric in metrics:
        attached = registry.attachments.attach(created.id, AttachmentDraft(metric.name, UP), actor=ACTOR, now=NOW)
        assert attached == AttachedMetric(metric, UP)
    assert registry.experiments.get(created.id).metrics == tuple(AttachedMetric(metric, UP) for metric in metrics)


def test_attach__unknown_or_attached_already__names_the_metric_and_changes_nothing(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    registry.attachments.attach(created.id, AttachmentDraft(metrics[0].id, UP), actor=ACTOR, now=NOW)
    for reference, message in (
        (metrics[0].id, "Metric is already attached to this experiment."),
        ("unknown", "Metric must belong to this environment."),
    ):
        with pytest.raises(ConfigurationError) as refused:
            registry.attachments.attach(created.id, AttachmentDraft(reference, UP), actor=ACTOR, now=NOW)
        assert refused.value.errors == {"metric": [message]}
    assert len(registry.experiments.get(created.id).metrics) == 1


def test_change__expected_direction__of_that_metric_alone(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    for metric in metrics:
        registry.attachments.attach(created.id, AttachmentDraft(metric.id, UP), actor=ACTOR, now=NOW)
    changed = registry.attachments.change(
        created.id, metrics[1].id, lambda each: replace(each, expected_direction=DOWN), actor=ACTOR, now=NOW
    )
    assert changed == AttachedMetric(metrics[1], DOWN)
    assert registry.experiments.get(created.id).metrics == (AttachedMetric(metrics[0], UP), changed)


def test_detach__then_again__is_gone_and_not_found(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    registry.attachments.attach(created.id, AttachmentDraft(metrics[0].id, UP), actor=ACTOR, now=NOW)
    registry.attachments.detach(created.id, metrics[0].id, actor=ACTOR, now=NOW)
    assert registry.experiments.get(created.id).metrics == ()
    for metric_id in (metrics[0].id, 404):
        with pytest.raises(NotFound, match="is not attached to experiment 'checkout-button'"):
            registry.attachments.detach(created.id, metric_id, actor=ACTOR, now=NOW)


def test_detach__started_or_completed__is_refused__l3_l4(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    registry.attachments.attach(created.id, AttachmentDraft(metrics[0].id, UP), actor=ACTOR, now=NOW)
    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    with pytest.raises(ConfigurationError) as frozen:
        registry.attachments.detach(created.id, metrics[0].id, actor=ACTOR, now=NOW)
    assert list(frozen.value.errors) == ["metrics"]
    registry.experiments.transition(created.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    with pytest.raises(NotAllowed, match=r"^Cannot detach metrics from a completed experiment\.$"):
        registry.attachments.detach(created.id, metrics[0].id, actor=ACTOR, now=NOW)


def test_attach__secondary_to_a_started_experiment__is_marked_and_kept_apart__m22(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    first, later = metrics
    registry.attachments.attach(created.id, AttachmentDraft(first.id, UP), actor=ACTOR, now=NOW)
    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    attached = registry.attachments.attach(created.id, AttachmentDraft(later.name, DOWN), actor=ACTOR, now=NOW)
    assert attached == AttachedMetric(later, DOWN, added_after_start=True, added_in_phase=1)
    renamed = registry.experiments.change(created.id, lambda now: replace(now, name="x"), actor=ACTOR, now=NOW)
    assert renamed.metrics == (AttachedMetric(first, UP), attached)
    with pytest.raises(ConfigurationError):
        registry.attachments.detach(created.id, later.id, actor=ACTOR, now=NOW)
    registry.experiments.transition(created.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    assert registry.experiments.get(created.id).metrics == renamed.metrics


def test_attach__guardrail_or_primary_or_after_the_end__is_refused__m22(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    def refused(metric: Metric, direction: ExpectedDirection) -> bool:
        with pytest.raises(ConfigurationError) as frozen:
            registry.attachments.attach(created.id, AttachmentDraft(metric.id, direction), actor=ACTOR, now=NOW)
        return list(frozen.value.errors) == ["metrics"]

    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    assert refused(metrics[0], UP)
    other = registry.experiments.create(
        "production", draft("other", metrics=(AttachmentDraft(metrics[0].id, UP),)), actor=ACTOR, now=NOW
    )
    registry.experiments.transition(other.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    created = other
    assert refused(metrics[1], ExpectedDirection.NOT_INCREASE)
    swapped = tuple(AttachmentDraft(metric.id, UP) for metric in metrics[::-1])
    with pytest.raises(ConfigurationError):
        registry.experiments.change(other.id, lambda now: replace(now, metrics=swapped), actor=ACTOR, now=NOW)
    registry.experiments.transition(other.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    assert refused(metrics[1], UP)
    assert registry.experiments.get(other.id).metrics == (AttachedMetric(metrics[0], UP),)


def test_attachments__margin_of_a_guardrail__is_kept_changed_audited_and_frozen__m16(
    registry: Registry, created: Experiment, metrics: list[Metric]
) -> None:
    guardrail = AttachmentDraft(metrics[0].id, ExpectedDirection.NOT_DECREASE, 0.02)
    attached = registry.attachments.attach(created.id, guardrail, actor=ACTOR, now=NOW)
    assert attached == AttachedMetric(metrics[0], ExpectedDirection.NOT_DECREASE, margin=0.02)
    with pytest.raises(ConfigurationError) as refused:
        registry.attachments.change(
            created.id, metrics[0].id, lambda each: replace(each, expected_direction=UP), actor=ACTOR, now=NOW
        )
    assert refused.value.errors == {
        "margin": ["Only a guardrail has a margin: not_increase or not_decrease, and this one is increase."]
    }
    changed = registry.attachments.change(
        created.id, metrics[0].id, lambda each: replace(each, margin=0.05), actor=ACTOR, now=NOW
    )
    assert changed.margin == 0.05
    (record, *_) = registry.audit.list(subject=f"experiment:{created.id}")
    assert record.before is not None
    assert record.after is not None
    assert [side["metrics"][0]["margin"] for side in (record.before, record.after)] == [0.02, 0.05]
    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    with pytest.raises(ConfigurationError, match="metrics"):
        registry.attachments.change(
            created.id, metrics[0].id, lambda each: replace(each, margin=0.1), actor=ACTOR, now=NOW
        )
    (kept,) = registry.experiments.get(created.id).metrics
    assert kept.margin == 0.05
