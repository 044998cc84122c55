"""The SQL of results is stored with them, and shown beside no others."""

from dataclasses import replace
from datetime import timedelta

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import HOUR, MINUTE, NOW


def test_sql__published_with_results__replaces_the_one_before(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW + HOUR, MINUTE)
    publication = Publication(run, Computation.RESULTS, {}, "1", NOW + HOUR, HOUR, sql="select 1")
    first = registry.computations.publish(publication)
    assert registry.results_sql.get(running.id, first) == "select 1"
    exposures = replace(publication, computation=Computation.EXPOSURES, sql=None)
    registry.computations.publish(exposures)
    assert registry.results_sql.get(running.id, first) == "select 1"
    second = registry.computations.publish(replace(publication, sql="select 2"))
    assert registry.results_sql.get(running.id, second) == "select 2"
    third = registry.computations.publish(replace(publication, sql=None))
    assert registry.results_sql.get(running.id, third) == ""


def test_sql__of_results_as_of_another_moment__is_not_given(registry: Registry, running: Experiment) -> None:
    run = registry.runs.open(running.id, "run", NOW + HOUR, MINUTE)
    published = registry.computations.publish(
        Publication(run, Computation.RESULTS, {}, "1", NOW + HOUR, HOUR, sql="select 1")
    )
    assert published.as_of is not None
    assert published.data_version is not None
    earlier = replace(published, as_of=published.as_of - timedelta(minutes=1))
    assert registry.results_sql.get(running.id, earlier) == ""
    assert registry.results_sql.get(running.id, replace(published, data_version=published.data_version + 1)) == ""
    assert registry.results_sql.get(running.id, published.without_payload()) == ""
