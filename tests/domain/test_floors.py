"""Floors: what an installation sets, and what each statistic needs."""

import pytest

from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Counted, Floors, counted_by
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import (
    VERSION_1_AGGREGATIONS,
    Funnel,
    Mean,
    Metric,
    Quantile,
    Ratio,
    Retention,
    Statistic,
    mean_of_version_1,
)
from experiment_pipeline.settings import Settings


def test_floors__of_an_installation__are_its_settings() -> None:
    assert Floors.of(Settings()) == SHIPPED_FLOORS
    changed = Settings(minimum_identities=60, minimum_conversions=7, minimum_nonzero=80)
    assert Floors.of(changed) == Floors(identities=60, conversions=7, nonzero=80)


EVENTS = Events("open")


@pytest.mark.parametrize(
    ("statistic", "counted", "least"),
    [
        *((mean_of_version_1("e", each), Counted.NONZERO, 80) for each in VERSION_1_AGGREGATIONS[1:]),
        (mean_of_version_1("e", Aggregation.OCCURRENCE), Counted.CONVERSIONS, 7),
        (Mean(Measure(EVENTS, Aggregation.LAST)), Counted.NONZERO, 80),
        (Retention(Measure(EVENTS, Aggregation.OCCURRENCE)), Counted.CONVERSIONS, 7),
        (Funnel((EVENTS, EVENTS)), Counted.CONVERSIONS, 7),
        (Ratio(Measure(EVENTS, Aggregation.SUM), Measure(EVENTS, Aggregation.COUNT)), Counted.NONZERO, 80),
        (Quantile(0.9, EVENTS), Counted.BEYOND_QUANTILE, 10),
        (Quantile(0.9, Measure(EVENTS, Aggregation.OCCURRENCE)), Counted.BEYOND_QUANTILE, 10),
    ],
)
def test_floors__of_a_statistic__are_about_what_its_approximation_needs__c4(
    statistic: Statistic, counted: Counted, least: int
) -> None:
    assert counted_by(Metric(1, "prod", "m", statistic)) is counted
    assert Floors(50, 7, 80).least(counted) == least
