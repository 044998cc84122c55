"""The schema of definitions agrees with what reads them (rules M6-M14)."""

import copy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter

from experiment_pipeline.domain.definition_forms import FORMS, AnyDefinition
from experiment_pipeline.domain.definitions import Defined
from tests.domain.statistics import defined
from tests.domain.test_definition_rules import MEAN, conditioned, measured

VALIDATOR = jsonschema_rs.Draft202012Validator(TypeAdapter(AnyDefinition).json_schema())


@given(meant=defined())
@settings(max_examples=30)
def test_schema__canonical_definition__is_valid(meant: Defined) -> None:
    assert VALIDATOR.is_valid(meant.as_json)


@pytest.mark.parametrize(
    "definition",
    [
        {"version": 2, "event": "e"},
        {**MEAN, "version": 1},
        {**MEAN, "statistic": "median"},
        {**MEAN, "covariate": {}},
        measured(aggregation="total"),
        measured(where=[{"field": "value"}]),
        conditioned({"field": "value", "is": 1, "in": [2]}),
        conditioned({"field": "value", "is": None}),
        conditioned({"field": "value", "in": []}),
    ],
)
def test_schema__what_the_rules_refuse__is_invalid(definition: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(copy.deepcopy(MEAN))
    assert not VALIDATOR.is_valid(definition)


def test_forms__every_statistic__has_one() -> None:
    assert list(FORMS) == ["mean", "ratio", "quantile", "retention", "funnel"]
