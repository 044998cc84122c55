"""The real experiment, as published, and as the source of the demo reads it."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from experiment_pipeline.demo.landing import DECLARATIONS
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.schemas.manifests import DeclaredSource, parse_manifest
from experiment_pipeline.sources.file_ranges import FileRanges
from experiment_pipeline.sources.row_records import RowRecords

EXPERIMENT = yaml.safe_load(DECLARATIONS.read_text("utf-8"))["experiments"]["hiv_result_incentive"]


@pytest.fixture(scope="module")
def source() -> DeclaredSource:
    return parse_manifest(DECLARATIONS.read_text("utf-8"), folder=DECLARATIONS.parent).sources["hiv_incentive"]


@pytest.fixture(scope="module")
def events(source: DeclaredSource) -> list[dict[str, Any]]:
    assert source.files is not None
    mappings = {f"as.{position}": mapping for position, mapping in enumerate(source.mappings)}
    rows = FileRanges(source.files, source.query).sample()
    frames = RowRecords(mappings, source.timezone, source.environment).of(rows.batches(), lambda _: None)
    return [row for frame in frames for row in frame.to_dicts()]


def test_study__counts__are_those_of_the_paper(events: list[dict[str, Any]]) -> None:
    offered = {each["identifier"]: each["value"] for each in events if each["event"] == EXPOSURE_EVENT}
    learned = [each["identifier"] for each in events if each["event"] == "result_learned"]
    assert len(events) == len(offered) + len(learned) == 2834 + 1956
    assert Counter(offered.values()) == {"control": 623, "incentive": 2211}
    assert Counter(offered[identifier] for identifier in learned) == {"control": 211, "incentive": 1745}


def test_study__experiment__is_declared_as_its_source_has_it(
    source: DeclaredSource, events: list[dict[str, Any]]
) -> None:
    exposures = [each for each in events if each["event"] == EXPOSURE_EVENT]
    assert source.environment == EXPERIMENT["environment"]
    assert {each["feature_name"] for each in exposures} == {EXPERIMENT["feature"]}
    assert {each["value"] for each in exposures} == {variant["key"] for variant in EXPERIMENT["variants"]}
    times = [datetime.fromisoformat(each["timestamp"]) for each in events]
    assert min(times) == EXPERIMENT["started_at"] == datetime(2026, 1, 5, tzinfo=UTC)
    assert max(times) < EXPERIMENT["ended_at"]
