"""Looks: every published results payload of an experiment, numbered from 1 (rule R9)."""

from dataclasses import replace

import pytest

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.errors import NotFound
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft


def publish(registry: Registry, experiment: Experiment, count: int) -> None:
    """Publish so many looks, an hour and a batch after each other, and exposures with each."""
    for number in range(1, count + 1):
        at = NOW + number * HOUR
        run = registry.runs.open(experiment.id, f"{experiment.id}-{number}", at, MINUTE, data_version=number)
        publication = Publication(run, Computation.EXPOSURES, {}, f"code {number}", at, HOUR)
        registry.computations.publish(publication)
        registry.computations.publish(replace(publication, computation=Computation.RESULTS, payload={"is": number}))
        registry.runs.release_lease(run)


def test_looks__are_numbered_by_experiment_and_listed_newest_first(registry: Registry, running: Experiment) -> None:
    other = registry.experiments.create("production", draft("other"), actor=ACTOR, now=NOW)
    started = registry.experiments.transition(other.id, running.status, actor=ACTOR, now=NOW)
    publish(registry, started, 1)
    publish(registry, running, 3)
    found = registry.looks.list(running.id)
    assert [(look.number, look.payload) for look in found] == [(3, {"is": 3}), (2, {"is": 2}), (1, {"is": 1})]
    newest = found[0]
    assert (newest.as_of, newest.computed_at, newest.data_version, newest.code_version) == (
        NOW + 3 * HOUR, NOW + 3 * HOUR, 3, "code 3",
    )  # fmt: skip
    assert registry.looks.newest(running.id) == newest
    assert registry.looks.list(running.id, limit=1, offset=1) == [found[1]]
    assert (registry.looks.count(running.id), registry.looks.count(other.id)) == (3, 1)


def test_looks__of_one_number__is_that_look_or_says_which_there_are(registry: Registry, running: Experiment) -> None:
    assert registry.looks.newest(running.id) is None
    with pytest.raises(NotFound, match="No look 1: nothing was published yet"):
        registry.looks.get(running.id, 1)
    publish(registry, running, 2)
    assert registry.looks.get(running.id, 1).payload == {"is": 1}
    for number in (0, 3, 2**70):
        with pytest.raises(NotFound, match=f"No look {number}: there are 1 to 2"):
            registry.looks.get(running.id, number)
