"""The band of the self-check against SciPy's binomial distribution."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiment_pipeline.domain.self_check import SPLITS
from experiment_pipeline.stats.self_check import FEWEST_CALLS, LEAST_OF_EITHER, LEVEL, MOST_CALLS, is_in_band


def test_band__is_the_middle_999_of_a_thousand_of_the_binomial_distribution() -> None:
    assert stats.binom.interval(0.999, SPLITS, LEVEL) == (FEWEST_CALLS, MOST_CALLS)


def test_band__holds_its_ends_and_nothing_beyond() -> None:
    assert [calls for calls in range(SPLITS + 1) if is_in_band(calls)] == list(range(2, 22))


def test_least_of_either_outcome__keeps_false_alarms_of_shares_below_1_in_140() -> None:
    """The level is exact: of many identities, those with the rarer outcome fall into either half like coins."""

    def alarms(*rarer: int) -> NDArray[np.float64]:
        halves = np.arange(max(rarer) + 1)[:, np.newaxis]
        is_called = np.abs(2 * halves - rarer) / np.sqrt(rarer) > stats.norm.isf(LEVEL / 2)
        level = np.where(is_called, stats.binom.pmf(halves, rarer, 0.5), 0).sum(axis=0)
        too_few_or_many: NDArray[np.float64] = stats.binom.cdf(FEWEST_CALLS - 1, SPLITS, level) + stats.binom.sf(
            MOST_CALLS, SPLITS, level
        )
        return too_few_or_many

    assert alarms(*range(LEAST_OF_EITHER, 400)).max() < 0.007
    assert alarms(10).item() > 0.05
