"""When a refresh is due without a request, and when a computation is final (rules R4, R6)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from experiment_pipeline.domain.due import (
    FIRST_BACK_OFF,
    LONGEST_BACK_OFF,
    Candidate,
    automatic_claim,
    back_off,
    is_final,
)
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, Variant, VariantRole
from experiment_pipeline.domain.refresh import ClaimSource, Computation, ComputationState

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
STARTED_AT = NOW - timedelta(days=5)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
GRACE = HOUR
NEVER = ComputationState(
    computation=Computation.RESULTS,
    as_of=None,
    data_version=None,
    computed_at=None,
    payload=None,
    is_final=False,
    last_error_at=None,
    failures=0,
    refresh_requested_at=None,
    last_duration_seconds=None,
)


def experiment(status: ExperimentStatus = ExperimentStatus.RUNNING, ended_at: datetime | None = None) -> Experiment:
    return Experiment(
        id=1,
        environment_key="prod",
        key="checkout",
        partition_key="checkout-1",
        name="Checkout",
        feature="checkout",
        status=status,
        variants=(Variant("control", VariantRole.CONTROL), Variant("b", VariantRole.TREATMENT, 50)),
        refresh_interval=HOUR,
        started_at=STARTED_AT,
        ended_at=ended_at,
    )


def computed(at: datetime, *, data_version: int = 1, seconds: float = 1) -> ComputationState:
    """A computation that was published at a moment, as of that moment."""
    return replace(
        NEVER, as_of=at, computed_at=at, data_version=data_version, payload={}, last_duration_seconds=seconds
    )


def candidate(
    state: ComputationState, *, newest_batch: int = 2, waits: bool = False, subject: Experiment | None = None
) -> Candidate:
    """Both computations in one state."""
    both = tuple(replace(state, computation=computation) for computation in Computation)
    return Candidate(subject or experiment(), both, newest_batch, waits)


def claimed(subject: Candidate, now: datetime = NOW, scanned_at: datetime | None = NOW) -> ClaimSource | None:
    return automatic_claim(subject, now=now, grace=GRACE, scanned_at=scanned_at)


def completed(ended_at: datetime) -> Experiment:
    return experiment(ExperimentStatus.COMPLETED, ended_at)


YEAR = timedelta(days=366)


@pytest.mark.parametrize("ahead", [YEAR, timedelta(days=1)])
def test_automatic_claim__moments_of_a_clock_that_was_ahead__hold_nothing_back__r4(ahead: timedelta) -> None:
    published = computed(NOW + ahead, seconds=13 * 60)
    assert claimed(candidate(published)) is ClaimSource.SCHEDULE
    failed = replace(computed(NOW - 2 * HOUR), last_error_at=NOW + ahead, failures=9)
    assert claimed(candidate(failed)) is ClaimSource.SCHEDULE


def test_automatic_claim__moments_a_little_ahead__still_count__r4() -> None:
    failed = replace(NEVER, last_error_at=NOW + MINUTE, failures=1)
    assert claimed(candidate(failed)) is None
    assert claimed(candidate(computed(NOW + MINUTE))) is None


def test_automatic_claim__of_an_end_that_lies_ahead__goes_on_as_before__r6() -> None:
    ended = completed(NOW + YEAR)
    assert claimed(candidate(computed(NOW - MINUTE), subject=ended)) is None
    assert claimed(candidate(computed(NOW - 2 * HOUR), subject=ended)) is ClaimSource.SCHEDULE
    assert claimed(candidate(computed(NOW - 2 * HOUR, data_version=2), subject=ended)) is None


def test_automatic_claim__of_a_listing_that_lies_ahead__does_not_make_anything_final__r6() -> None:
    late = candidate(computed(NOW - HOUR), subject=completed(NOW - 2 * HOUR))
    assert claimed(late, scanned_at=NOW) is ClaimSource.COMPLETION
    assert claimed(late, scanned_at=NOW + YEAR) is None


moments = st.integers(-300, 0).map(lambda minutes: NOW + minutes * MINUTE)
states = st.builds(
    lambda at, version, seconds, failures, failed_ago: replace(
        NEVER if at is None else computed(at, data_version=version, seconds=seconds),
        failures=failures,
        last_error_at=NOW - failed_ago * MINUTE if failures else None,  # a success clears it (rule R3)
    ),
    at=st.none() | moments,
    version=st.integers(0, 3),
    seconds=st.floats(0, 3600),
    failures=st.integers(0, 12),
    failed_ago=st.integers(0, 600),
)


def test_back_off__doubles_from_five_minutes_to_six_hours__r4() -> None:
    minutes = [back_off(failures) // MINUTE for failures in range(9)]
    assert minutes == [0, 5, 10, 20, 40, 80, 160, 320, 360]


@given(st.integers(-5, 10**9))
def test_back_off__after_any_number_of_failures__stays_in_its_bounds_and_never_shrinks(failures: int) -> None:
    assert back_off(failures) <= back_off(failures + 1) <= LONGEST_BACK_OFF
    assert back_off(failures) == timedelta(0) if failures <= 0 else back_off(failures) >= FIRST_BACK_OFF


def test_automatic_claim__of_a_running_experiment_that_never_ran__is_made_at_once() -> None:
    assert claimed(candidate(NEVER, newest_batch=0)) is ClaimSource.SCHEDULE


def test_automatic_claim__without_new_batches__is_not_made__r4() -> None:
    stale = computed(NOW - timedelta(days=2), data_version=2)
    assert claimed(candidate(stale, newest_batch=2)) is None
    assert claimed(candidate(stale, newest_batch=3)) is ClaimSource.SCHEDULE


def test_automatic_claim__within_the_refresh_interval__is_not_made__r4() -> None:
    assert claimed(candidate(computed(NOW - HOUR + SECOND))) is None
    assert claimed(candidate(computed(NOW - HOUR))) is ClaimSource.SCHEDULE


def test_automatic_claim__while_another_waits__is_not_made() -> None:
    assert claimed(candidate(NEVER, waits=True)) is None


@pytest.mark.parametrize("status", [ExperimentStatus.CREATED, ExperimentStatus.PAUSED])
def test_automatic_claim__of_an_experiment_that_does_not_run__is_not_made__l1(status: ExperimentStatus) -> None:
    assert claimed(candidate(NEVER, subject=experiment(status))) is None


def test_automatic_claim__never_comes_before_ten_times_the_last_duration__r4() -> None:
    slow = computed(NOW - 2 * HOUR, seconds=13 * 60)
    rested_at = NOW - 2 * HOUR + timedelta(minutes=130)
    assert claimed(candidate(slow), now=rested_at - SECOND) is None
    assert claimed(candidate(slow), now=rested_at) is ClaimSource.SCHEDULE


def test_automatic_claim__one_computation_that_fails__holds_the_experiment_back() -> None:
    failing = replace(NEVER, computation=Computation.EXPOSURES, last_error_at=NOW - MINUTE, failures=1)
    assert claimed(Candidate(experiment(), (failing, NEVER), newest_batch=1, waits=False)) is None


@given(state=states, ended_at=st.none() | moments, scanned_at=st.none() | moments, newest_batch=st.integers(0, 4))
def test_automatic_claim__in_any_state__waits_for_back_off_and_rest__r4(
    state: ComputationState, ended_at: datetime | None, scanned_at: datetime | None, newest_batch: int
) -> None:
    subject = experiment() if ended_at is None else completed(ended_at)
    source = claimed(candidate(state, newest_batch=newest_batch, subject=subject), scanned_at=scanned_at)
    assume(source is not None)
    assert source is (ClaimSource.SCHEDULE if ended_at is None else ClaimSource.COMPLETION)
    if state.last_error_at is not None:
        assert state.last_error_at + back_off(state.failures) <= NOW
    if state.computed_at is not None and state.last_duration_seconds is not None:
        assert NOW - state.computed_at >= 10 * timedelta(seconds=state.last_duration_seconds)


@given(state=states, failures=st.integers(1, 12))
def test_automatic_claim__once_the_back_off_is_over__is_as_after_a_success__r4(
    state: ComputationState, failures: int
) -> None:
    succeeded = candidate(replace(state, failures=0, last_error_at=None))
    rested = candidate(replace(state, failures=failures, last_error_at=NOW - back_off(failures)))
    assert claimed(rested) is claimed(succeeded)


@given(
    state=states, ended_at=moments, scanned_at=moments, later=st.integers(0, 10_000), newest_batch=st.integers(0, 99)
)
def test_automatic_claim__once_final__is_never_made_again__r6(
    state: ComputationState, ended_at: datetime, scanned_at: datetime, later: int, newest_batch: int
) -> None:
    final = candidate(replace(state, is_final=True), newest_batch=newest_batch, subject=completed(ended_at))
    now = NOW + later * HOUR
    assert claimed(final, now=now, scanned_at=scanned_at) is None


def test_completion__claims_a_refresh_of_the_whole_window_at_once__r6() -> None:
    before_the_end = computed(NOW - HOUR, data_version=2)
    assert claimed(candidate(before_the_end, subject=completed(NOW)), scanned_at=None) is ClaimSource.COMPLETION


def test_completion__with_the_whole_window_computed__waits_for_the_grace_and_for_what_landed_before_it__r6() -> None:
    ended_at = NOW - 2 * HOUR
    final_from = ended_at + GRACE
    whole = candidate(computed(ended_at + MINUTE, data_version=2), subject=completed(ended_at))
    assert claimed(whole, now=final_from - SECOND, scanned_at=final_from - SECOND) is None
    assert claimed(whole, now=NOW, scanned_at=None) is None
    assert claimed(whole, now=NOW, scanned_at=final_from - SECOND) is None
    assert claimed(whole, now=NOW, scanned_at=final_from) is ClaimSource.COMPLETION


def test_completion__that_came_after_the_grace_and_before_the_listing__is_made_again__r6() -> None:
    ended_at = NOW - 3 * HOUR
    not_final = candidate(computed(NOW - HOUR, data_version=2), newest_batch=2, subject=completed(ended_at))
    assert claimed(not_final, scanned_at=ended_at) is None
    assert claimed(not_final, scanned_at=ended_at + GRACE) is ClaimSource.COMPLETION


def test_completion__that_keeps_failing__is_retried_with_back_off__r6() -> None:
    failed = replace(NEVER, failures=2, last_error_at=NOW)
    subject = candidate(failed, subject=completed(NOW))
    assert claimed(subject, now=NOW + back_off(2) - SECOND) is None
    assert claimed(subject, now=NOW + back_off(2)) is ClaimSource.COMPLETION


@given(
    as_of=st.integers(-2, 2),
    computed_at=st.integers(-2, 2),
    final_from=st.integers(0, 2),
    covers_landed=st.booleans(),
)
def test_is_final__when_whole_after_the_grace_and_covering_all_that_landed__r6(
    as_of: int, computed_at: int, final_from: int, covers_landed: bool
) -> None:
    final = is_final(
        ended_at=NOW,
        as_of=NOW + as_of * SECOND,
        computed_at=NOW + computed_at * SECOND,
        final_from=NOW + final_from * SECOND,
        covers_landed=covers_landed,
    )
    assert final == (as_of >= 0 and computed_at >= final_from and covers_landed)


def test_is_final__of_an_experiment_that_has_not_ended__is_false() -> None:
    assert not is_final(ended_at=None, as_of=NOW, computed_at=NOW, final_from=None, covers_landed=True)
