"""What a state must have in common with a refresh, and what a report says (rules I1, I4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.warehouse.refreshes import KnownScope, RefreshReport, digest_of

AT = datetime(2026, 3, 1, tzinfo=UTC)
KNOWN = KnownScope("code", "definitions", "installation", "history", AT, AT + timedelta(days=1), 7)


def test_obstacle__of_a_later_refresh_of_the_same__is_none() -> None:
    assert KNOWN.obstacle(KNOWN) is None
    assert KNOWN.obstacle(replace(KNOWN, as_of=AT + timedelta(days=2), data_version=9)) is None


@pytest.mark.parametrize("changed", ["code_version", "definitions", "installation", "history", "started_at"])
def test_obstacle__where_anything_else_differs__says_what__i1(changed: str) -> None:
    other = AT - timedelta(days=1) if changed == "started_at" else "other"
    assert KNOWN.obstacle(replace(KNOWN, **{changed: other})) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("earlier", [{"as_of": AT}, {"data_version": 6}])
def test_obstacle__of_an_earlier_refresh__says_so__r5(earlier: dict[str, object]) -> None:
    assert KNOWN.obstacle(replace(KNOWN, **earlier)) == "the state is of a later refresh"  # type: ignore[arg-type]


def test_then__counts_refreshes_since_the_last_full_one__i4() -> None:
    assert KNOWN.then(KNOWN).then(KNOWN).since_full == 2
    assert replace(KNOWN, since_full=4).then(KNOWN).since_full == 5


def test_report__text__is_incremental_or_full_with_its_reason() -> None:
    assert RefreshReport().text == "incremental"
    assert RefreshReport("the code has changed").text == "full (the code has changed)"


def test_digest__of_equal_definitions__is_equal() -> None:
    assert digest_of(("a", 1)) == digest_of(("a", 1)) != digest_of(("a", 2))
