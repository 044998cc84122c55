"""Phases of one experiment: what each of them is, and how a restart begins the next (rules X9-X11)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.drafts import VariantDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, Variant, VariantRole, expected_shares
from experiment_pipeline.domain.lifecycle import restart, transition
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Mean, Metric
from experiment_pipeline.errors import ConfigurationError, NotAllowed, NotFound

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CREATED, RUNNING, PAUSED, COMPLETED = ExperimentStatus
VARIANTS = (
    Variant("control", VariantRole.CONTROL, 40.0),
    Variant("b", VariantRole.TREATMENT, 50.0),
    Variant("none", VariantRole.HOLDOUT, 10.0),
)
OF_B = (VariantDraft("none", 10.0, VariantRole.HOLDOUT), VariantDraft("b", 20.0))


def running(**changes: object) -> Experiment:
    experiment = Experiment(
        id=7, environment_key="prod", key="checkout", partition_key="checkout-7", name="Checkout", feature="f",
        status=RUNNING, variants=VARIANTS, started_at=START,
    )  # fmt: skip
    return replace(experiment, **changes)  # type: ignore[arg-type]


def adjusted(before: timedelta | None) -> AttachedMetric:
    measure = Measure(Events("e"), Aggregation.SUM)
    return AttachedMetric(Metric(1, "prod", "m", Mean(measure, before)), ExpectedDirection.INCREASE)


@pytest.mark.parametrize("status", [RUNNING, PAUSED])
def test_restart__changes_allocations_alone_and_runs__x9(status: ExperimentStatus) -> None:
    second = restart(running(status=status), OF_B, START + DAY + timedelta(microseconds=1500))
    assert [(arm.key, arm.percentage_allocation) for arm in second.variants] == [
        ("control", 70.0),
        ("b", 20.0),
        ("none", 10.0),
    ]
    moment = START + DAY + timedelta(milliseconds=1)
    assert (second.status, second.phase, second.started_at, second.ended_at) == (RUNNING, 2, moment, None)
    assert (second.partition_key, second.is_in_newest_phase) == ("checkout-7", True)
    first = second.in_phase(1)
    assert replace(first, ended_phases=()) == running(status=COMPLETED, ended_at=moment)
    assert (first.is_in_newest_phase, first.earlier_phases, second.earlier_phases) == (False, (), first.ended_phases)


def test_shares__of_each_phase__are_those_that_were_in_force_in_it__s4() -> None:
    second = restart(running(), OF_B, START + DAY)
    assert expected_shares(second.in_phase(1).variants) == {"control": 4 / 9, "b": 5 / 9}
    assert expected_shares(second.variants) == {"control": 7 / 9, "b": 2 / 9}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": CREATED, "started_at": None}, "Cannot restart: the experiment has not started: it can be started."),
        ({"status": COMPLETED}, "Cannot restart: the experiment is completed, for good"),
        ({"started_at": START + DAY}, "Cannot restart: phase 1 started at 2026-03-02T00:00:00Z, and not before now."),
    ],
)
def test_restart__of_what_does_not_run__is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(NotAllowed, match=told):
        restart(running(**changes), None, START + DAY)


@pytest.mark.parametrize(
    ("variants", "told"),
    [
        ((VariantDraft("b", 20.0),), "A restart changes allocations alone. Give each of 'control' \\(control\\), 'b'"),
        ((VariantDraft("c", 20.0), VariantDraft("none", 10.0, VariantRole.HOLDOUT)), "A restart changes allocations"),
        ((VariantDraft("b", 20.0), VariantDraft("none", 10.0)), "A restart changes allocations alone"),
        ((VariantDraft("b", 95.0), VariantDraft("none", 10.0, VariantRole.HOLDOUT)), "must not exceed 100%, got 105%"),
    ],
)
def test_restart__with_other_variants__is_refused(variants: tuple[VariantDraft, ...], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        restart(running(), variants, START + DAY)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_in_phase__that_there_is_not__says_which_there_are(number: int) -> None:
    second = restart(running(), None, START + DAY)
    for experiment in (second, second.in_phase(1)):
        with pytest.raises(NotFound, match=f"'checkout' has no phase {number}: there are phases 1 to 2"):
            experiment.in_phase(number)
    with pytest.raises(NotFound, match="there is phase 1 alone"):
        running().in_phase(2)


def test_start__that_a_wrong_clock_put_ahead__is_dated_anew_and_the_phase_before_ends_then__l1() -> None:
    ahead = restart(running(), None, START + 400 * DAY)
    again = transition(ahead, RUNNING, START + DAY)
    assert (again.started_at, again.ended_phases[0].ended_at, again.phase) == (START + DAY, START + DAY, 2)


@pytest.mark.parametrize(("before", "overlaps"), [(None, False), (DAY, True)])
def test_pre_period__that_reaches_into_an_earlier_phase__overlaps_it__x11(
    before: timedelta | None, overlaps: bool
) -> None:
    second = restart(running(metrics=(adjusted(before),)), None, START + DAY)
    assert second.overlaps_earlier_phase(adjusted(before)) is overlaps
    assert not second.in_phase(1).overlaps_earlier_phase(adjusted(before)), "nothing came before the first phase"
