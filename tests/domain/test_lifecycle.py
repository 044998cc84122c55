"""The life of an experiment (rules L1, L3, L4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, Variant, VariantRole
from experiment_pipeline.domain.lifecycle import check_start_may_move, is_further, transition, transitions_to
from experiment_pipeline.errors import ConfigurationError, InvalidTransition

NOW = datetime(2026, 3, 2, 12, 0, 0, 123_456, tzinfo=UTC)
CREATED, RUNNING, PAUSED, COMPLETED = ExperimentStatus
ALLOWED = {(CREATED, RUNNING), (RUNNING, PAUSED), (PAUSED, RUNNING), (RUNNING, COMPLETED), (PAUSED, COMPLETED)}


def experiment(status: ExperimentStatus) -> Experiment:
    return Experiment(
        id=1,
        environment_key="production",
        key="e",
        partition_key="e-1",
        name="E",
        feature="f",
        status=status,
        variants=(Variant("control", VariantRole.CONTROL, 50.0), Variant("a", VariantRole.TREATMENT, 50.0)),
        started_at=None if status is CREATED else NOW,
    )


@pytest.mark.parametrize(("current", "to"), list(product(ExperimentStatus, ExperimentStatus)))
def test_transition__every_pair__is_allowed_just_where_the_rule_has_a_step(
    current: ExperimentStatus, to: ExperimentStatus
) -> None:
    if (current, to) in ALLOWED:
        assert transition(experiment(current), to, NOW).status is to
    else:
        with pytest.raises(InvalidTransition, match=f"^Cannot transition from '{current}' to '{to}'.$"):
            transition(experiment(current), to, NOW)


@pytest.mark.parametrize(
    ("current", "to", "advice"),
    [
        (CREATED, PAUSED, "The experiment has not started: it can be started."),
        (RUNNING, RUNNING, "The experiment is running already: it can be paused, restarted or completed."),
        (RUNNING, CREATED, "The experiment is running: it can be paused, restarted or completed."),
        (PAUSED, PAUSED, "The experiment is paused already: it can be started again, restarted or completed."),
        (COMPLETED, COMPLETED,
         "The experiment is completed already, for good: to go on, declare another one under another key."),
    ],
)  # fmt: skip
def test_transition__that_does_not_exist__says_what_can_be_done(
    current: ExperimentStatus, to: ExperimentStatus, advice: str
) -> None:
    with pytest.raises(InvalidTransition) as refused:
        transition(experiment(current), to, NOW)
    assert refused.value.advice == advice


def test_transition__moments__are_cut_to_milliseconds_and_never_run_backwards() -> None:
    started = transition(experiment(CREATED), RUNNING, NOW)
    assert started.started_at == NOW.replace(microsecond=123_000)
    ended = transition(started, COMPLETED, NOW - timedelta(hours=1))  # a clock that was set back
    assert ended.ended_at == started.started_at


YEAR = timedelta(days=366)


def test_transition__start_that_lies_a_year_ahead__is_dated_anew__l1() -> None:
    started = transition(experiment(CREATED), RUNNING, NOW + YEAR)  # the clock was ahead, and was set right later
    again = transition(started, RUNNING, NOW)
    assert (again.status, again.started_at) == (RUNNING, NOW.replace(microsecond=123_000))
    assert transition(replace(started, status=PAUSED), RUNNING, NOW).started_at == again.started_at
    ended = transition(started, COMPLETED, NOW)
    assert (ended.started_at, ended.ended_at) == (again.started_at, again.started_at)
    assert transition(started, PAUSED, NOW).started_at is not None


def test_transition__end_that_lies_a_year_ahead__is_dated_anew__l1() -> None:
    ended = transition(transition(experiment(CREATED), RUNNING, NOW), COMPLETED, NOW + YEAR)
    later = NOW + timedelta(hours=1)
    again = transition(ended, COMPLETED, later)
    assert (again.status, again.started_at, again.ended_at) == (
        COMPLETED,
        ended.started_at,
        later.replace(microsecond=123_000),
    )
    with pytest.raises(InvalidTransition):
        transition(again, COMPLETED, later)
    with pytest.raises(InvalidTransition):
        transition(ended, RUNNING, later)


def test_transition__dates_of_the_past_that_somebody_states__keep_a_start_that_is_right() -> None:
    started = transition(experiment(CREATED), RUNNING, NOW)
    ended = transition(started, COMPLETED, NOW - YEAR, now=NOW + timedelta(hours=1))
    assert (ended.started_at, ended.ended_at) == (started.started_at, started.started_at)


def test_transitions_to__any_status__are_each_allowed_or_refused_by_transition() -> None:
    assert transitions_to(CREATED, COMPLETED) == (RUNNING, COMPLETED)
    assert transitions_to(CREATED, PAUSED) == (RUNNING, PAUSED)
    assert transitions_to(PAUSED, COMPLETED) == (COMPLETED,)
    assert transitions_to(RUNNING, RUNNING) == ()
    assert transitions_to(COMPLETED, RUNNING) == (RUNNING,)


def test_is_further__status_of_an_experiment__is_later_in_its_life_than_the_stated_one() -> None:
    further = {
        (current, stated) for current, stated in product(ExperimentStatus, repeat=2) if is_further(current, stated)
    }
    assert further == {
        (RUNNING, CREATED), (PAUSED, CREATED), (COMPLETED, CREATED),
        (PAUSED, RUNNING), (COMPLETED, RUNNING), (COMPLETED, PAUSED),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("to", "has_counted", "is_final", "messages"),
    [
        (NOW - YEAR, False, False, None),
        (NOW, False, False, None),
        (NOW + timedelta(seconds=1), False, False, ["Must not lie in the future."]),
        (NOW - YEAR, True, False,
         [f"Cannot be changed: it is {NOW.isoformat()}, and results that count identities were published since."]),
        (NOW - YEAR, False, True, [f"Cannot be changed: it is {NOW.isoformat()}, and results are final."]),
    ],
)  # fmt: skip
def test_check_start_may_move__until_results_depend_on_it__into_the_past_alone(
    to: datetime, has_counted: bool, is_final: bool, messages: list[str] | None
) -> None:
    def check() -> None:
        check_start_may_move(experiment(RUNNING), to, NOW, has_counted=has_counted, is_final=is_final)

    if messages is None:
        check()
        return
    with pytest.raises(ConfigurationError) as refused:
        check()
    assert refused.value.errors == {"started_at": messages}
