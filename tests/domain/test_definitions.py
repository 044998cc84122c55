"""Definitions, from JSON to a statistic and back (rules M1, M6-M14, M18)."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from experiment_pipeline.domain.definition_rules import read_version_2, stored_definition
from experiment_pipeline.domain.definitions import Defined, canonical_text, definition_of
from experiment_pipeline.domain.fields import FieldErrors
from experiment_pipeline.domain.measures import (
    Aggregation,
    Bound,
    Condition,
    Events,
    Measure,
    MeasureWindow,
    Missing,
    Operator,
)
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Quantile, Ratio, Retention
from tests.domain.statistics import defined
from tests.metrics import version_1

DAY = timedelta(days=1)
PURCHASES, VALUES = Measure(Events("bought"), Aggregation.COUNT), Measure(Events("bought"), Aggregation.SUM)
EXAMPLES: list[tuple[dict[str, Any], Defined]] = [
    (
        {"statistic": "ratio", "numerator": {"event": "bought", "aggregation": "sum"},
         "denominator": {"event": "bought", "aggregation": "count"}},
        Defined(2, Ratio(VALUES, PURCHASES)),
    ),
    (
        {"statistic": "mean",
         "measure": {"event": "bought", "aggregation": "sum",
                     "where": [{"field": "traits.country", "in": ["DE", "AT"]}, {"field": "value", "at_least": 0.5}],
                     "window": {"to": "P7D"}, "cap": {"percentile": 99.5, "of_nonzero": True}, "floor": {"at": 0}},
         "maturity": "complete", "covariate": {"before": "P14D"}},
        Defined(2, Mean(Measure(
            Events("bought", (Condition("traits.country", Operator.IN, ("DE", "AT")),
                              Condition("value", Operator.AT_LEAST, 0.5)), MeasureWindow(end=7 * DAY)),
            Aggregation.SUM, cap=Bound(percentile=99.5, of_nonzero=True), floor=Bound(at=0.0)), 14 * DAY),
            Maturity.COMPLETE),
    ),
    (
        {"statistic": "mean", "measure": {"event": "bought", "aggregation": "mean", "slice_by": "metadata.category",
                                          "missing": "zero"}},
        Defined(2, Mean(Measure(Events("bought"), Aggregation.MEAN, Missing.ZERO, slice_by="metadata.category"))),
    ),
    (
        {"statistic": "quantile", "q": 0.9, "measure": {"event": "bought", "aggregation": "sum"}},
        Defined(2, Quantile(0.9, VALUES)),
    ),
    (
        {"statistic": "quantile", "q": 0.5, "unit": "event",
         "measure": {"event": "loaded", "window": {"from": "PT1H"}}},
        Defined(2, Quantile(0.5, Events("loaded", window=MeasureWindow(DAY / 24)))),
    ),
    (
        {"statistic": "retention", "measure": {"event": "opened"}, "window": {"from": "P7D", "to": "P8D"}},
        Defined(2, Retention(Measure(Events("opened", window=MeasureWindow(7 * DAY, 8 * DAY)), Aggregation.OCCURRENCE)),
                Maturity.COMPLETE),
    ),
    (
        {"statistic": "funnel", "steps": [{"event": "seen"}, {"event": "bought", "where": [
            {"field": "metadata.cart.gift", "exists": False}]}], "within": "P1D"},
        Defined(2, Funnel((Events("seen"), Events("bought", (
            Condition("metadata.cart.gift", Operator.EXISTS, operand=False),))), DAY)),
    ),
]  # fmt: skip


def read(definition: dict[str, Any]) -> Defined:
    errors = FieldErrors()
    found = read_version_2(errors, definition)
    assert errors.errors == {}
    assert found is not None
    return found


@pytest.mark.parametrize(("declared", "meant"), EXAMPLES)
def test_read__definition_of_each_statistic__says_it_and_is_written_back(
    declared: dict[str, Any], meant: Defined
) -> None:
    assert read({"version": 2, **declared}) == meant
    assert canonical_text(meant.as_json) == canonical_text({"version": 2, **declared})


@given(meant=defined())
@settings(max_examples=50)
def test_read__anything_written__is_what_was_meant(meant: Defined) -> None:
    stored = json.loads(json.dumps(meant.as_json))
    assert read(stored) == stored_definition(stored) == meant
    assert canonical_text(read(stored).as_json) == canonical_text(stored)


def test_written__several_spellings_of_the_same__are_one() -> None:
    spelled = {"version": 2, "statistic": "mean", "maturity": "all", "covariate": None, "measure": {
        "aggregation": "sum", "event": "e", "cap": {"at": 5.0, "percentile": None, "of_nonzero": False},
        "where": [{"field": "value", "at_least": 1.0}, {"field": "traits.a", "in": [2.0, "x"]}],
        "window": {"from": 0, "to": 86400}, "floor": None}}  # fmt: skip
    written = {"version": 2, "statistic": "mean", "measure": {
        "event": "e", "aggregation": "sum",
        "where": [{"field": "value", "at_least": 1}, {"field": "traits.a", "in": [2, "x"]}],
        "window": {"to": "P1D"}, "cap": {"at": 5}}}  # fmt: skip
    assert json.dumps(read(spelled).as_json) == json.dumps(written)
    whole = {**written, "measure": {"event": "e", "aggregation": "sum", "window": {}, "where": []}}
    assert read(whole).as_json["measure"] == {"event": "e", "aggregation": "sum"}


def test_canonical_text__number_and_truth__are_told_apart() -> None:
    assert canonical_text({"is": 1}) != canonical_text({"is": True})
    assert canonical_text({"a": 1, "b": 2}) == canonical_text({"b": 2, "a": 1})


def test_definition_of__version_1__is_its_event__m1() -> None:
    metric = version_1(1, "production", "m", "bought", Aggregation.SUM, window=DAY)
    assert definition_of(metric) == {"version": 1, "event": "bought"}
