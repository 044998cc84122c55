"""Properties that came in several types are named, with counts and samples (rule M7)."""

import json

from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.field_types import FieldType, FieldTypes
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.health.field_types import CHECK
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.results.compute import compute_results
from tests.health.test_split import CHECKOUT

PLAN = FieldTypes(
    "purchase",
    "traits.plan",
    {FieldType.NUMBER: 34, FieldType.TEXT: 1_200},
    {FieldType.NUMBER: ("1", "2"), FieldType.TEXT: ('"pro"',)},
)


def found(*mixed: FieldTypes) -> Finding:
    results = compute_results(CHECKOUT, {}, (), Floors())
    return CHECK.judge(HealthInputs(CHECKOUT, (), results, lake=LakeCounts(mixed_fields=mixed)))


def test_field_types__of_one_type_each__pass() -> None:
    assert (found().code, found().severity) == ("fields_of_one_type", Severity.OK)


def test_field_types__of_several__are_a_warning_with_counts_and_samples() -> None:
    country = FieldTypes(EXPOSURE_EVENT, "traits.country", {FieldType.BOOLEAN: 1, FieldType.NESTED: 2})
    finding = found(PLAN, country)
    assert (finding.code, finding.severity) == ("mixed_field_types", Severity.WARNING)
    assert finding.detail.startswith(
        "traits.plan of 'purchase' came as 34 numbers (1, 2), 1,200 texts (\"pro\"); "
        "traits.country of the exposures came as 1 boolean, 2 objects or arrays. A condition compares"
    )
    assert json.loads(json.dumps(finding.evidence))["fields"][0] == {
        "event": "purchase",
        "field": "traits.plan",
        "counts": {"number": 34, "text": 1_200},
        "samples": {"number": ["1", "2"], "text": ['"pro"']},
    }


def test_field_types__of_very_many_properties__name_twenty() -> None:
    finding = found(*(FieldTypes("purchase", f"traits.x{number}", PLAN.counts) for number in range(30)))
    assert len(finding.evidence["fields"]) == 20
    assert "traits.x19" in finding.detail
    assert "traits.x20" not in finding.detail
