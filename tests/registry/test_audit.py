"""The audit log: who changed what, when, before and after (rule L5)."""

from dataclasses import replace

from experiment_pipeline.domain.drafts import MetricDraft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft


def test_list__whole_life_of_an_experiment__says_who_what_when_before_and_after(registry: Registry) -> None:
    created = registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)
    registry.experiments.change(created.id, lambda now: replace(now, name="New"), actor="ann", now=NOW + MINUTE)
    registry.experiments.change(created.id, lambda now: now, actor="nobody", now=NOW + MINUTE)  # changes nothing
    registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor="bob", now=NOW + HOUR)
    registry.experiments.transition(created.id, ExperimentStatus.PAUSED, actor=ACTOR, now=NOW + HOUR)
    registry.experiments.delete(created.id, actor="eve", now=NOW + HOUR)
    log = registry.audit.list("production", subject=f"experiment:{created.id}")[::-1]
    assert [(line.actor, line.action) for line in log] == [
        (ACTOR, "create"),
        ("ann", "change"),
        ("bob", "running"),
        (ACTOR, "paused"),
        ("eve", "delete"),
    ]
    assert log[0].before is None
    assert log[-1].after is None
    change = log[1]
    assert change.at == NOW + MINUTE
    assert change.before is not None
    assert change.after is not None
    assert (change.before["name"], change.after["name"]) == ("checkout_button", "New")


def test_list__changes_of_a_metric__are_audited(registry: Registry) -> None:
    wanted = MetricDraft("revenue", {"version": 1, "event": "purchase"}, Aggregation.SUM)
    metric = registry.metrics.create("production", wanted, actor=ACTOR, now=NOW)
    registry.metrics.change("production", metric.id, lambda now: replace(now, name="x"), actor="ann", now=NOW)
    registry.metrics.delete("production", metric.id, actor="bob", now=NOW)
    log = registry.audit.list("production", subject=f"metric:{metric.id}")[::-1]
    assert [(line.actor, line.action) for line in log] == [(ACTOR, "create"), ("ann", "change"), ("bob", "delete")]


def test_list__filters_and_pages__newest_first(registry: Registry) -> None:
    registry.environments.create("staging", "Staging", actor="bob", now=NOW)
    for key in ("a", "b"):
        registry.experiments.create("staging", draft(key, key=key), actor="ann", now=NOW)
    log = registry.audit.list("staging")
    assert [(line.actor, line.subject) for line in log] == [
        ("ann", "experiment:2"),
        ("ann", "experiment:1"),
        ("bob", "environment:staging"),
    ]
    assert registry.audit.list("staging", limit=1, offset=1) == log[1:2]
    assert registry.audit.list("staging", actor="ann") == log[:2]
    assert registry.audit.list("staging", subject="experiment:1", actor="bob") == []
    assert registry.audit.list("staging", subject="experiment") == log[:2]
    assert registry.audit.list("staging", subject="exp") == registry.audit.list("staging", subject="%") == []
    assert registry.audit.list("staging", action="create", subject="environment") == log[2:]
    assert registry.audit.count("staging", action="delete") == 0
    assert [line.environment_key for line in registry.audit.list()] == ["staging"] * 3 + ["production"]
    assert (registry.audit.count(), registry.audit.count("staging", actor="ann")) == (4, 2)
