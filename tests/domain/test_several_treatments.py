"""What several treatments cost: said as it is, before the start."""

import dataclasses

import numpy as np
import pytest

from experiment_pipeline.domain.design_warnings import design_warnings
from experiment_pipeline.domain.experiments import Design, Variant, VariantRole
from experiment_pipeline.domain.several_treatments import sample_factor, several_treatments_warnings
from experiment_pipeline.stats.confidence_sequence import boundary
from experiment_pipeline.stats.group_sequential import exit_probabilities
from tests.results.subjects import CONTROL, experiment

FIXED_SAMPLE, DRIFT, LOOKS = 7.849, 2.8016, 30  # information and drift with which a fixed-sample test has 80 % power


def variants(treatments: int) -> tuple[Variant, ...]:
    share = 100 / (treatments + 1)
    return (CONTROL, *(Variant(f"b{i}", VariantRole.TREATMENT, share) for i in range(treatments)))


def power_of(treatments: int, fixed_samples: float) -> float:
    """Return the computed power for the first of several treatments to be called by so many fixed samples."""
    fractions = [fixed_samples * (look + 1) / LOOKS for look in range(LOOKS)]
    boundaries = boundary(FIXED_SAMPLE * np.array(fractions), ((1.0, 1.0),), 0.05 / treatments)
    return float(exit_probabilities(fractions, boundaries.tolist(), DRIFT).total)


@pytest.mark.parametrize("treatments", [1, 2, 4, 10])
def test_sample_factor__computed_power__is_80_percent_there(treatments: int) -> None:
    assert power_of(treatments, sample_factor(treatments)) == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize(("treatments", "power"), [(1, 0.83), (2, 0.76), (3, 0.71), (4, 0.67), (6, 0.62), (10, 0.55)])
def test_power__at_1_6_fixed_samples__is_what_the_documentation_says(treatments: int, power: float) -> None:
    assert power_of(treatments, 1.6) == pytest.approx(power, abs=0.005)


def test_several_treatments__planned_design__is_told_what_they_cost() -> None:
    planned = Design(mde=0.1, baseline=0.1)
    (warning,) = several_treatments_warnings(experiment(variants(4), design=planned))
    assert warning in design_warnings(experiment(variants(4), design=planned))
    assert warning.startswith("variants: 4 treatments share the error rate.")
    assert "1.97 times" in warning


def test_several_treatments__one_treatment_or_no_design__warns_of_nothing() -> None:
    planned = experiment(variants(1), design=Design(mde=0.1, baseline=0.1))
    assert several_treatments_warnings(planned) == []
    assert several_treatments_warnings(dataclasses.replace(planned, variants=variants(3), design=Design())) == []


def test_sample_factor__no_treatment__is_refused() -> None:
    with pytest.raises(ValueError, match=r"^treatments: "):
        sample_factor(0)
