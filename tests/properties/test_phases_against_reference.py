"""Phases against the plain-Python reference: random events, windows cut at random moments (rules X9-X11)."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_pipeline.domain.exposures import Window
from tests.properties.test_against_reference import assert_equal, ours_of
from tests.properties.translated import experiment_of, warehouse_of
from tests.reference.exposures import Experiment, Variant, first_exposures, saw_another_variant
from tests.reference.payloads import payloads
from tests.reference.visible import visible_events
from tests.strategies import Scenario, scenarios


@st.composite
def phases(draw: st.DrawFn, scenario: Scenario) -> list[Experiment]:
    """The phases of the scenario's experiment: its window cut once or twice, each with shares of its own."""
    whole = scenario.experiment
    length = whole.as_of - whole.started_at
    shares = sorted(draw(st.sets(st.sampled_from([0.1, 0.25, 0.5, 0.75]), min_size=1, max_size=2)))
    cuts = [whole.started_at, *(whole.started_at + share * length for share in shares), whole.as_of]
    windows = [(_in_milliseconds(start), _in_milliseconds(end)) for start, end in pairwise(cuts)]
    return [
        replace(
            whole,
            started_at=start,
            as_of=end,
            variants=[_reallocated(variant, draw(st.sampled_from([1.0, 0.5, 0.1]))) for variant in whole.variants],
            earlier_phases=windows[:number],
        )
        for number, (start, end) in enumerate(windows)
    ]


def _in_milliseconds(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def _reallocated(variant: Variant, factor: float) -> Variant:
    share = variant.percentage_allocation
    return (
        variant
        if share is None or variant.role == "control"
        else replace(variant, percentage_allocation=share * factor)
    )


@given(data=st.data(), scenario=scenarios())
@settings(max_examples=4, deadline=None)
def test_phases__over_random_events__equal_the_reference(data: st.DataObject, scenario: Scenario) -> None:
    assert_phases_equal_the_reference(scenario, data.draw(phases(scenario)))


@pytest.mark.slow
@given(data=st.data(), scenario=scenarios())
@settings(max_examples=100, deadline=None)
def test_phases__over_many_random_events__equal_the_reference(data: st.DataObject, scenario: Scenario) -> None:
    assert_phases_equal_the_reference(scenario, data.draw(phases(scenario)))


def assert_phases_equal_the_reference(scenario: Scenario, of_phases: list[Experiment]) -> None:
    """Compute every phase both ways, over one lake and with the artifacts of all of them side by side."""
    visible = visible_events(scenario.batches, scenario.experiment.data_version)
    with TemporaryDirectory() as folder:
        engine = warehouse_of(scenario.batches, Path(folder))
        scopes = [experiment_of(described)[1] for described in of_phases]
        for scope in reversed(scopes):
            engine.write_first_exposures(scope)
        for described, scope in zip(of_phases, scopes, strict=True):
            assert engine.stamp(scope.partition_key, scope.phase).window == scope.window
            exposures, results = ours_of(described, engine)
            wanted_exposures, wanted_results = payloads(scenario.batches, described)
            assert exposures == wanted_exposures
            assert_equal(results, wanted_results)
            if described.earlier_phases:
                (start, _), *_, (_, end) = [described.earlier_phases[0], *described.earlier_phases]
                wanted = saw_another_variant(visible, first_exposures(visible, described), described)
                assert engine.count_saw_another_variant(scope, Window(start, end)) == wanted
