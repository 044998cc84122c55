"""Patches: what is sent changes, what is left out stays."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from experiment_pipeline.domain.drafts import ExperimentDraft, MetricDraft, VariantDraft
from experiment_pipeline.domain.fields import errors_by_field
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.schemas.requests import ExperimentPatch, MetricPatch

EXPERIMENT = ExperimentDraft(name="n", hypothesis="h", feature="f", variants=(VariantDraft("a", 50.0),), key="k")
METRIC = MetricDraft("m", {"version": 1, "event": "e"}, Aggregation.COUNT, window=timedelta(days=1))


def test_revise__fields_that_are_sent__change_alone() -> None:
    sent = {"name": "new", "refresh_interval": "PT2H", "variants": [{"key": "b", "percentage_allocation": 10}]}
    revised = ExperimentPatch.model_validate(sent).revise(EXPERIMENT)
    assert revised == ExperimentDraft(
        name="new",
        hypothesis="h",
        feature="f",
        variants=(VariantDraft("b", 10.0),),
        key="k",
        refresh_interval=timedelta(hours=2),
    )
    assert ExperimentPatch.model_validate({}).revise(EXPERIMENT) == EXPERIMENT


def test_revise__null_where_null_is_a_value__takes_it_away() -> None:
    assert MetricPatch.model_validate({"window": None}).revise(METRIC).window is None
    assert MetricPatch.model_validate({"description": "d"}).revise(METRIC).window == timedelta(days=1)


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ({"name": None}, {"name": ["Input should be a valid string"]}),
        ({"key": None}, {"key": ["Input should be a valid string"]}),
        ({"status": "running"}, {"status": ["Unknown field."]}),
        ({"design": {"alpha": 2, "beta": 1}},
         {"design.alpha": ["Must lie between 0 and 0.5."], "design.beta": ["Unknown field."]}),
        ({"variants": [{"key": "a\n", "share": 1}]},
         {"variants.0.key": ["Must not hold control characters."], "variants.0.share": ["Unknown field."]}),
    ],
)  # fmt: skip
def test_patch__that_is_not_allowed__names_every_field(sent: dict[str, Any], errors: dict[str, list[str]]) -> None:
    with pytest.raises(ValidationError) as refused:
        ExperimentPatch.model_validate(sent)
    assert errors_by_field(refused.value.errors()) == errors
