"""The test of who has a value: it waits for enough of both kinds, and holds at every look."""

import numpy as np
import pytest

from experiment_pipeline.stats.missing_values import MISSING_ALPHA, missing_values_differ


@pytest.mark.parametrize(
    ("control", "treatment", "differ"),
    [
        ((1_000, 1_000), (1_000, 500), True),  # none is missing in control, half are in the treatment
        ((1_000, 0), (1_000, 500), True),
        ((1_000, 500), (1_000, 500), False),
        ((1_000, 1_000), (1_000, 1_000), False),
        ((1_000, 0), (1_000, 0), False),
        ((0, 0), (1_000, 500), False),
        ((0, 0), (0, 0), False),
        ((10, 10), (10, 1), False),  # 4.5 should be missing in each arm
        ((100, 50), (10_000, 9_990), False),  # 0.6 should be missing in the small arm
    ],
)
def test_shares__by_size_and_difference__differ_or_not(
    control: tuple[int, int], treatment: tuple[int, int], differ: bool
) -> None:
    assert missing_values_differ(control, treatment) is differ
    assert missing_values_differ(treatment, control) is differ


@pytest.mark.parametrize(("with_value", "differ"), [(4_690, True), (4_700, False)])  # p is 0.0005 and 0.00104
def test_shares__around_p_of_0_001__differ_just_below_it(with_value: int, differ: bool) -> None:
    assert missing_values_differ((10_000, 5_000), (10_000, with_value)) is differ


@pytest.mark.parametrize(("share", "arms"), [(0.5, (100, 100)), (0.97, (180, 20))])
def test_shares__that_are_equal__are_called_different_hardly_ever_over_all_looks(
    share: float, arms: tuple[int, int]
) -> None:
    rng, looks, experiments = np.random.default_rng(5), 30, 100
    with_value = np.stack([rng.binomial(n, share, (experiments, looks)).cumsum(axis=1) for n in arms])
    alarms = sum(
        any(
            missing_values_differ((arms[0] * look, int(c)), (arms[1] * look, int(t)))
            for look, (c, t) in enumerate(zip(*with_value[:, number], strict=True), start=1)
        )
        for number in range(experiments)
    )
    assert alarms <= 1, f"at {MISSING_ALPHA}, two of 100 are a bug and not chance"
