"""Planning: sizes, effects and times that agree with each other, and arguments refused by name."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.power import SampleSize, minimum_detectable_effect, power_of, runtime_left, sample_size

DAY = timedelta(days=1)


def test_sample_size__conversions_from_5_to_5_5_percent__is_the_textbook_number() -> None:
    size = sample_size(standard_deviation=(0.05 * 0.95) ** 0.5, effect=0.005)
    assert size == SampleSize(29_826, 29_826)  # 2 * 7.849 * 0.05 * 0.95 / 0.005^2


@given(st.floats(0.01, 100), st.floats(0.001, 0.5), st.floats(0.1, 10), st.floats(0.6, 0.99))
def test_sample_size__its_power__is_the_one_asked_for(sd: float, share: float, ratio: float, power: float) -> None:
    wanted = share * sd
    size = sample_size(standard_deviation=sd, effect=wanted, ratio=ratio, power=power)
    error = sd * (1 / size.control + 1 / size.treatment) ** 0.5
    assert power_of(wanted, error) >= power - 1e-9
    found = minimum_detectable_effect(
        standard_deviation=sd, control_n=size.control, treatment_n=size.treatment, power=power
    )
    assert found <= wanted * (1 + 1e-9)


def test_power_of__no_effect__is_alpha() -> None:
    assert power_of(0.0, 1.0, alpha=0.03) == pytest.approx(0.03)
    assert power_of(2.0, 1.0) == power_of(-2.0, 1.0)


def test_runtime_left__steady_traffic__is_what_is_missing() -> None:
    assert runtime_left(needed=1_000, collected=250, elapsed=2 * DAY) == 6 * DAY
    assert runtime_left(needed=1_000, collected=1_000, elapsed=2 * DAY) == timedelta(0)
    assert runtime_left(needed=2**53, collected=1, elapsed=30 * DAY) == timedelta.max


def test_runtime_left__no_traffic__says_so() -> None:
    assert runtime_left(needed=10, collected=0, elapsed=DAY) == NotComputable("no_traffic_yet")
    assert runtime_left(needed=10, collected=5, elapsed=timedelta(0)) == NotComputable("no_traffic_yet")


def test_arguments__impossible_ones__are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^effect: "):
        sample_size(standard_deviation=1.0, effect=0.0)
    with pytest.raises(ValueError, match=r"^effect: "):
        sample_size(standard_deviation=1.0, effect=1e-200)
    with pytest.raises(ValueError, match=r"^standard_deviation: "):
        sample_size(standard_deviation=0.0, effect=0.1)
    with pytest.raises(ValueError, match=r"^ratio: "):
        sample_size(standard_deviation=1.0, effect=0.1, ratio=float("nan"))
    with pytest.raises(ValueError, match=r"^power: "):
        sample_size(standard_deviation=1.0, effect=0.1, power=0.04)
    with pytest.raises(ValueError, match=r"^power: "):
        sample_size(standard_deviation=1.0, effect=0.1, power=1.0)
    with pytest.raises(ValueError, match=r"^control_n: "):
        minimum_detectable_effect(standard_deviation=1.0, control_n=0, treatment_n=5)
    with pytest.raises(ValueError, match=r"^elapsed: "):
        runtime_left(needed=10, collected=1, elapsed=-DAY)
