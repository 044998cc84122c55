"""The floors under which nothing is inferred (rule C4)."""

import pytest

from experiment_pipeline.domain.floors import Counted, Floors
from experiment_pipeline.stats.minimum_data import below_floor
from experiment_pipeline.stats.not_computable import NotComputable

FLOORS = Floors(identities=50, conversions=5, nonzero=100)


@pytest.mark.parametrize(
    ("kind", "least", "reason"),
    [
        (Counted.CONVERSIONS, 5.0, "below_minimum_conversions"),
        (Counted.NONZERO, 100.0, "below_minimum_nonzero"),
        (Counted.BEYOND_QUANTILE, 10.0, "too_few_values"),
    ],
)
def test_floor__one_arm_has_too_little_of_what_its_metric_needs__says_what_is_missing(
    kind: Counted, least: float, reason: str
) -> None:
    enough = (1_000, 1_000)
    assert below_floor(enough, (least, least), kind, FLOORS) is None
    for counted in ((least - 1, least), (least, least - 1)):
        assert below_floor(enough, counted, kind, FLOORS) == NotComputable(reason)
    for identities in ((49, 1_000), (1_000, 49)):
        assert below_floor(identities, (least, least), kind, FLOORS) == NotComputable("below_minimum_identities")


@pytest.mark.parametrize("counted", [5 - 1e-12, 10.0**300, float("inf")])
def test_floor__conversions_that_are_a_sum_of_floats__are_counted_as_whole_numbers(counted: float) -> None:
    assert below_floor((1_000, 1_000), (counted, counted), Counted.CONVERSIONS, FLOORS) is None


def test_floor__quantile_of_a_tenth__needs_a_hundred_and_twelve_values() -> None:
    for n, reason in ((111, "too_few_values"), (112, None)):
        found = below_floor((n, n), (n * 0.9 * (1 - 0.9),) * 2, Counted.BEYOND_QUANTILE, FLOORS)
        assert (found and found.reason) == reason
    forty = 40 * 0.5 * (1 - 0.5)
    assert below_floor((50, 50), (forty, forty), Counted.BEYOND_QUANTILE, FLOORS) is None
