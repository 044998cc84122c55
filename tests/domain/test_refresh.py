"""Claims and the state of a computation (rules R2, R3)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from experiment_pipeline.domain.refresh import ClaimSource, Computation, ComputationState

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
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


@pytest.mark.parametrize("source", ClaimSource)
def test_claim_source__users__are_those_who_ask_by_hand__r2(source: ClaimSource) -> None:
    assert source.is_user == (source in {ClaimSource.API, ClaimSource.CLI})


def test_envelope__before_anything_was_asked_or_computed__is_nothing() -> None:
    assert NEVER.envelope() is None


def test_envelope__of_a_failure_before_the_first_payload__shows_the_failure() -> None:
    assert replace(NEVER, last_error_at=NOW).envelope() == {
        "as_of": None,
        "last_error_at": "2026-03-10T12:00:00Z",
        "refresh_requested_at": None,
        "payload": None,
        "is_final": False,
        "phase": 1,
        "data_version": None,
        "computed_at": None,
    }
