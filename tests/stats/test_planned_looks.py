"""Planned looks: which payload is one, and its boundary, given the looks before it as they were stored (rule C7)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_pipeline.domain.planned_looks import PlannedLook
from experiment_pipeline.stats.group_sequential import NEVER, exit_probabilities, next_boundary, spending_boundaries
from experiment_pipeline.stats.planned_looks import next_planned_look, reached

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def looks_at(
    fractions: list[float], *, z: float = 0.0, n_looks: int = 4, past: tuple[PlannedLook, ...] = (), alpha: float = 0.05
) -> list[PlannedLook]:
    """Return the looks among payloads with these information fractions."""
    taken = list(past)
    for hour, fraction in enumerate(fractions):
        as_of = NOW + timedelta(hours=hour)
        new = next_planned_look(taken, as_of=as_of, fraction=fraction, z=z, n_looks=n_looks, alpha=alpha)
        taken += [] if new is None else [new]
    return taken


def test_look__many_payloads__are_looks_where_a_share_is_first_reached__c7() -> None:
    taken = looks_at([0.01, 0.2, 0.26, 0.3, 0.49, 0.51, 0.6, 0.75, 0.9, 1.1, 1.2, 1.3])
    assert [(look.number, look.information_fraction) for look in taken] == [(1, 0.26), (2, 0.51), (3, 0.75), (4, 1.1)]
    assert [look.boundary for look in taken] == pytest.approx(spending_boundaries([0.26, 0.51, 0.75, 1.1]), abs=1e-9)
    assert [look.as_of.hour for look in taken] == [2, 5, 7, 9]


def test_look__payload_that_reaches_several_shares__is_all_of_them() -> None:
    (first, last) = looks_at([0.6, 3.0])
    assert first.number == 2
    assert first.boundary == pytest.approx(spending_boundaries([0.6])[0])
    assert (last.number, last.information_fraction) == (4, 3.0)


def test_look__information_that_shrank_or_hardly_grew__spends_nothing__c7() -> None:
    (first,) = looks_at([0.3, 0.2, 0.26])
    early = replace(first, information_fraction=0.4998)
    waited = looks_at([0.5001, 0.5002, 0.51], past=(early,))
    assert [look.information_fraction for look in waited] == [0.4998, 0.51]


def test_look__far_before_anything_can_be_spent__has_no_boundary_and_is_not_crossed() -> None:
    (look,) = looks_at([0.002], z=1e100, n_looks=1_000)
    assert (look.number, look.boundary, look.crossed) == (2, None, False)


@pytest.mark.parametrize(("z", "crossed"), [(1.97, True), (-1.97, True), (1.96, False), (-1.96, False)])
def test_look__z_on_either_side__is_compared_with_the_boundary(z: float, crossed: bool) -> None:
    (_, last) = looks_at([0.5, 1.0], z=z, n_looks=2)
    assert (last.z, last.crossed, round(last.boundary or 0, 3)) == (z, crossed, 1.969)


def test_look__stored_boundary_of_another_version__stays_and_the_next_one_is_given_it() -> None:
    """A look that was compared with another boundary, of half of alpha say, is not made up for later."""
    (usual,) = looks_at([0.5], n_looks=2)
    stored = replace(usual, boundary=3.4)
    taken = looks_at([1.0], n_looks=2, past=(stored,))
    assert taken[0] is stored
    assert taken[1].boundary != pytest.approx(looks_at([1.0], n_looks=2, past=(usual,))[1].boundary, abs=1e-4)
    exits = exit_probabilities([0.5, 1.0], [3.4, taken[1].boundary or 0])
    assert exits.upper[1] + exits.lower[1] == pytest.approx(0.05 - 0.00305, abs=1e-5)


@given(fractions=st.lists(st.floats(0.01, 1.5), min_size=1, max_size=5), alpha=st.sampled_from([0.01, 0.025, 0.05]))
@settings(max_examples=15, deadline=None)
def test_next_boundary__one_after_the_other__are_those_of_all_at_once(fractions: list[float], alpha: float) -> None:
    found: list[float] = []
    for look, fraction in enumerate(fractions):
        found.append(next_boundary(fractions[:look], found, fraction, alpha))
    together = spending_boundaries(fractions, alpha)
    assert [each == NEVER for each in found] == [each == NEVER for each in together]
    assert found == pytest.approx(list(together), abs=1e-7)


def test_look__z_that_is_no_number__is_refused() -> None:
    with pytest.raises(ValueError, match="z: must be a number"):
        looks_at([1.0], z=float("nan"))


@given(n_looks=st.integers(1, 1_000), k=st.integers(0, 1_000))
def test_reached__share_as_it_is_divided__is_reached_exactly(n_looks: int, k: int) -> None:
    assert reached(min(k, n_looks) / n_looks, n_looks) == min(k, n_looks)
