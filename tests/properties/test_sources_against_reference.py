"""Removed, superseded and linked rows, by way of landing zone, lake and engine, against plain Python (E6, D5-D7)."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.lake import Lake
from tests.lake.ledger import NOW
from tests.lake.source_objects import visible_rows
from tests.properties.test_against_reference import assert_payloads_equal_the_reference
from tests.properties.translated import warehouse_of
from tests.reference.events import LINK
from tests.reference.visible import visible_events
from tests.sourced_strategies import sourced_scenarios
from tests.strategies import Scenario


@pytest.mark.slow
@given(scenario=sourced_scenarios())
@settings(max_examples=4, deadline=None)
def test_payloads__of_sources_that_are_read_again_and_superseded__equal_the_reference(scenario: Scenario) -> None:
    assert_payloads_equal_the_reference(scenario)


@pytest.mark.slow
@given(scenario=sourced_scenarios())
@settings(max_examples=300, deadline=None)
def test_payloads__of_many_such_scenarios__equal_the_reference(scenario: Scenario) -> None:
    assert_payloads_equal_the_reference(scenario)


@given(scenario=sourced_scenarios())
@settings(max_examples=4, deadline=None)
def test_lake__of_any_data_version__holds_the_events_of_the_reference__merged_too(scenario: Scenario) -> None:
    assert_lake_holds_what_the_reference_sees(scenario)


@pytest.mark.slow
@given(scenario=sourced_scenarios())
@settings(max_examples=40, deadline=None)
def test_lake__of_any_data_version_of_many__holds_the_events_of_the_reference__merged_too(scenario: Scenario) -> None:
    assert_lake_holds_what_the_reference_sees(scenario)


def assert_lake_holds_what_the_reference_sees(scenario: Scenario) -> None:
    """Compare every data version, of the files as they were written and merged."""
    with TemporaryDirectory() as folder:
        warehouse_of(scenario.batches, Path(folder))
        lake = Lake(Path(folder) / "lake")
        for _ in ("as it was written", "merged"):
            for version in range(len(scenario.batches) + 1):
                wanted = visible_events(scenario.batches, version)
                assert stored_events(lake, version) == sorted((one.hash, str(one.traits)) for one in wanted)
            compact(lake, NOW, whole=True)


def stored_events(lake: Lake, data_version: int) -> list[tuple[int, str]]:
    """The hashes and traits of the events that a data version sees."""
    return sorted(
        (
            ((row["event_hash_high"] + 2**63) << 64) + row["event_hash_low"] + 2**63,
            str(row["traits"] and json.loads(row["traits"])),
        )
        for row in visible_rows(lake, data_version)
        if row["event"] != LINK
    )
