"""Floors: what an installation sets, and what each aggregation needs."""

from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.settings import Settings


def test_floors__of_an_installation__are_its_settings() -> None:
    assert Floors.of(Settings()) == SHIPPED_FLOORS
    changed = Settings(minimum_identities=60, minimum_conversions=7, minimum_nonzero=80)
    assert Floors.of(changed) == Floors(identities=60, conversions=7, nonzero=80)


def test_floors__of_values__are_conversions_for_occurrence_alone() -> None:
    found = {each: Floors(50, 7, 80).of_values(each) for each in Aggregation}
    assert found == dict.fromkeys(Aggregation, 80) | {Aggregation.OCCURRENCE: 7}
