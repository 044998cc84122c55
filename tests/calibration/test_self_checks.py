"""A small, seeded calibration of the self-check; docs/calibration.md has the large simulation (rule S5)."""

import numpy as np
import pytest

from experiment_pipeline.results.self_check import count_calls
from experiment_pipeline.warehouse.duckdb.halves import Halves
from tests.calibration.self_checks import SELF_CHECKS, SUM, counts, spent
from tests.calibration.studies import Study
from tests.calibration.test_kinds import FEW, noise


@pytest.mark.slow
@pytest.mark.parametrize("study", SELF_CHECKS, ids=[study.name for study in SELF_CHECKS])
def test_self_checks__small_sample__does_not_refute_the_bound__s5(study: Study) -> None:
    found = study.run((7, SELF_CHECKS.index(study)), FEW)
    for reading in study.readings:
        assert reading.measured(found) <= reading.high + noise(reading.high, FEW), reading.name


def test_calls__of_one_arm_by_many_seeds__vary_as_independent_splits_do__s5() -> None:
    """Were splits alike, their calls would come together: the variance of their number would be larger."""
    rng = np.random.default_rng(3)
    y, _ = counts(2.0, 600)(rng)
    hashes = rng.integers(-(2**63), 2**63, len(y))
    found = []
    for seed in range(60):
        halves = Halves(f"experiment-{seed}", 1)
        halves.add(hashes, y, None)
        found.append(count_calls(SUM, halves.splits()).calls or 0)
    assert abs(np.mean(found) - 10) < 4 * 3.08 / 60**0.5
    assert 3.08 * 0.6 < np.std(found) < 3.08 * 1.4  # 200 x 5 % x 95 %, and four standard errors


def test_calls__of_few_large_values__are_too_few__s5() -> None:
    halves = Halves("experiment", 1)
    y, _ = spent(300, 6.0, 3_000)(np.random.default_rng(1))
    halves.add(np.random.default_rng(2).integers(-(2**63), 2**63, len(y)), y, None)
    assert (count_calls(SUM, halves.splits()).calls or 0) < 2
