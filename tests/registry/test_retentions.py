"""How long environments keep their events: declared, refused where an experiment needs more (rule X8)."""

from datetime import timedelta

import pytest

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, NOW

DAY = timedelta(days=1)


def test_set__is_kept_and_audited_and_may_end(registry: Registry) -> None:
    assert registry.retentions.list(NOW) == []
    for keep in (400 * DAY, 400 * DAY, None):
        assert registry.retentions.set("production", keep, actor=ACTOR, now=NOW).keep == keep
    lines = registry.audit.list(action="change")
    assert [((line.before or {})["keep"], (line.after or {})["keep"]) for line in lines] == [
        (400 * 86_400.0, None),
        (None, 400 * 86_400.0),
    ]


def test_set__shorter_than_a_month__is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="keep: Must be at least P31D"):
        registry.retentions.set("production", 30 * DAY, actor=ACTOR, now=NOW)


def test_set__that_would_cut_a_running_experiment__is_refused__x8(registry: Registry, running: Experiment) -> None:
    later = NOW + 200 * DAY
    with pytest.raises(ConfigurationError, match=f"'{running.key}' reads events since"):
        registry.retentions.set("production", 100 * DAY, actor=ACTOR, now=later)
    registry.retentions.set("production", 250 * DAY, actor=ACTOR, now=later)
    (held,) = registry.retentions.list(later + 200 * DAY)
    assert held.held_by == running.key
    assert held.kept_from == f"{running.started_at:%Y-%m}"


def test_list__experiment_that_is_deleted__needs_nothing(registry: Registry, running: Experiment) -> None:
    registry.retentions.set("production", 31 * DAY, actor=ACTOR, now=NOW)
    registry.experiments.transition(running.id, ExperimentStatus.COMPLETED, actor=ACTOR, now=NOW)
    registry.experiments.delete(running.id, actor=ACTOR, now=NOW)
    (kept,) = registry.retentions.list(NOW + 200 * DAY)
    assert kept.held_by is None
