"""What a definition of version 2 may not say, and what the message is (rules M6-M14, M18)."""

import copy
from typing import Any

import pytest

from experiment_pipeline.domain.definition_rules import read_version_2, version_of
from experiment_pipeline.domain.fields import FieldErrors
from experiment_pipeline.domain.measures import Aggregation

SUM = {"event": "bought", "aggregation": "sum"}
MEAN: dict[str, Any] = {"version": 2, "statistic": "mean", "measure": SUM}
RATIO: dict[str, Any] = {"version": 2, "statistic": "ratio", "numerator": SUM, "denominator": SUM}
QUANTILE: dict[str, Any] = {"version": 2, "statistic": "quantile", "q": 0.5, "measure": SUM}
OF_EVENTS: dict[str, Any] = {**QUANTILE, "unit": "event", "measure": {"event": "loaded"}}
RETENTION: dict[str, Any] = {
    "version": 2, "statistic": "retention", "measure": {"event": "opened"}, "window": {"from": "P7D", "to": "P8D"},
}  # fmt: skip
FUNNEL: dict[str, Any] = {"version": 2, "statistic": "funnel", "steps": [{"event": "seen"}, {"event": "bought"}]}
STATISTICS = "'mean', 'ratio', 'quantile', 'retention' or 'funnel'"
ONE_OPERATOR = "Must have exactly one of is, in, not_in, at_least, at_most, exists"
NO_COVARIATE = "has none. Leave it out: only a mean can be adjusted by what came before."
*OTHERS, LAST = (f"'{each}'" for each in Aggregation)
AGGREGATIONS = f"{', '.join(OTHERS)} or {LAST}"
LEFT_OUT = "Leave it out here: steps, retention and quantiles of events read events, not an aggregated measure."


def errors_of(definition: dict[str, Any]) -> dict[str, list[str]]:
    errors = FieldErrors()
    found = read_version_2(errors, definition)
    assert (found is None) == bool(errors.errors)
    return errors.errors


def measured(**changes: object) -> dict[str, Any]:
    """A mean of a measure with these fields; None leaves one out."""
    return {**MEAN, "measure": {name: value for name, value in {**SUM, **changes}.items() if value is not None}}


def conditioned(*conditions: object) -> dict[str, Any]:
    return measured(where=list(conditions))


@pytest.mark.parametrize("definition", [MEAN, RATIO, QUANTILE, OF_EVENTS, RETENTION, FUNNEL])
def test_read__smallest_definition_of_each_statistic__breaks_nothing(definition: dict[str, Any]) -> None:
    before = copy.deepcopy(definition)
    assert errors_of(definition) == {}
    assert definition == before


@pytest.mark.parametrize(
    ("definition", "field", "message"),
    [
        ({"version": 2}, "statistic", f"This field is required: {STATISTICS}."),
        ({**MEAN, "statistic": "median"}, "statistic",
         f"Must be {STATISTICS}, got 'median'. The median is statistic: quantile with q: 0.5."),
        ({**MEAN, "statistic": ["mean"]}, "statistic", f"Must be {STATISTICS}, got ['mean']."),
        ({**MEAN, "measure": 5}, "measure",
         "Must be an object such as measure: {event: purchased, aggregation: sum}, got 5."),
        ({"version": 2, "statistic": "mean"}, "measure",
         "This field is required, such as measure: {event: purchased, aggregation: sum}."),
        ({**MEAN, "mesure": 5}, "mesure", "Unknown field. Did you mean 'measure'?"),
        ({**MEAN, "event": "bought"}, "event",
         "It belongs to a measure, such as measure: {event: purchased, aggregation: sum}."),
        ({"version": 2, "statistic": "ratio", "numerator": SUM}, "denominator",
         "This field is required, such as denominator: {event: purchased, aggregation: count}."),
        ({**MEAN, "numerator": SUM}, "numerator",
         "A mean has none, which belongs to ratio: a metric has one statistic. Leave it out, or declare another metric "
         "for it."),
        ({**FUNNEL, "measure": SUM}, "measure",
         "A funnel has none, which belongs to mean and quantile and retention: a metric has one statistic. Leave it "
         "out, or declare another metric for it."),
        ({**MEAN, "window": {"to": "P7D"}}, "window",
         "A mean has none. Write it in the measure, such as measure: {event: app_opened, window: {to: P7D}}."),
        ({**RATIO, "covariate": {"before": "P7D"}}, "covariate", f"A ratio {NO_COVARIATE}"),
        ({**QUANTILE, "covariate": {"before": "P7D"}}, "covariate", f"A quantile {NO_COVARIATE}"),
        ({**FUNNEL, "covariate": {"before": "P7D"}}, "covariate", f"A funnel {NO_COVARIATE}"),
        ({**RETENTION, "covariate": {"before": "P7D"}}, "covariate",
         f"A retention {NO_COVARIATE} As a mean it is statistic: mean, measure: {{event: app_opened, aggregation: "
         "occurrence, window: {from: P7D, to: P8D}}, maturity: complete, covariate: {before: P14D}."),
        ({**QUANTILE, "q": 1e-300}, "q", "Must lie from 0.0001 to 0.9999: beyond are too few values to compare."),
        ({**OF_EVENTS, "q": 0.99991}, "q", "Must lie from 0.0001 to 0.9999: beyond are too few values to compare."),
        ({**MEAN, "covariate": {}}, "covariate.before", "This field is required, such as before: P14D."),
        ({**MEAN, "covariate": {"before": "P0D"}}, "covariate.before", "Must be whole seconds from 1 to 31622400."),
        ({**RETENTION, "maturity": "complete"}, "maturity",
         "A retention has none. Leave it out: it always is of identities whose whole window has passed."),
        ({**FUNNEL, "maturity": "complete"}, "maturity",
         "A funnel has none. Leave it out: its steps have no window that ends."),
        ({**MEAN, "maturity": "full"}, "maturity", "Must be 'all' or 'complete', got 'full'."),
        ({**MEAN, "maturity": "complete"}, "measure.window.to",
         "Needed with maturity: complete, which waits for the end of the window, such as to: P7D."),
        ({**OF_EVENTS, "maturity": "complete"}, "measure.window.to",
         "Needed with maturity: complete, which waits for the end of the window, such as to: P7D."),
        ({**RETENTION, "window": {"from": "P7D"}}, "window.to", "This field is required, such as to: P8D."),
        ({**RETENTION, "window": {"from": "P8D", "to": "P7D"}}, "window.to",
         "Must be longer than from, such as {from: P7D, to: P8D}."),
        ({**RETENTION, "measure": SUM}, "measure.aggregation", LEFT_OUT),
        ({**OF_EVENTS, "measure": SUM}, "measure.aggregation", LEFT_OUT),
        ({**QUANTILE, "unit": "session"}, "unit", "Must be 'identity' or 'event', got 'session'."),
        ({**QUANTILE, "measure": {"event": "e"}}, "measure.aggregation",
         "This field is required, such as aggregation: sum."),
        ({**QUANTILE, "q": 1}, "q", "Must lie between 0 and 1, such as q: 0.9."),
        ({**QUANTILE, "q": 0}, "q", "Must lie between 0 and 1, such as q: 0.9."),
        ({**QUANTILE, "q": float("nan")}, "q", "Must lie between 0 and 1, such as q: 0.9."),
        ({**QUANTILE, "q": "0.9"}, "q", "Must be a number such as q: 0.9, got '0.9'."),
        ({**FUNNEL, "steps": [{"event": "seen"}]}, "steps",
         "Must be 2 to 10 steps, such as [{event: cart_viewed}, {event: purchased}]."),
        ({**FUNNEL, "steps": [{"event": "e"}] * 11}, "steps",
         "Must be 2 to 10 steps, such as [{event: cart_viewed}, {event: purchased}]."),
        ({**FUNNEL, "steps": [{"event": "seen"}, SUM]}, "steps.1.aggregation", LEFT_OUT),
        ({**FUNNEL, "steps": [{"event": "seen"}, "bought"]}, "steps.1",
         "Must be an object such as {event: cart_viewed}, got 'bought'."),
        ({**FUNNEL, "within": "1 day"}, "within",
         "Must be whole seconds or an ISO-8601 duration such as PT1H, got '1 day'."),
        ({**RATIO, "numerator": {**SUM, "slice_by": "metadata.a"}}, "numerator.slice_by",
         "Leave it out: only a mean can be split by a property of its events."),
        (measured(aggregation="total"), "measure.aggregation",
         f"Must be {AGGREGATIONS}, got 'total'."),
        (measured(event=None), "measure.event", "This field is required, such as event: purchased."),
        (measured(event=" "), "measure.event", "Must not be empty."),
        (measured(event=7), "measure.event", "Must be text such as event: purchased, got 7."),
        (measured(event="$flag_exposure"), "measure.event",
         "Must not begin with $: those events are the SDKs' own (rule E2)."),
        (measured(agregation="sum"), "measure.agregation", "Unknown field. Did you mean 'aggregation'?"),
        (measured(window={"from": "P7D", "to": "P7D"}), "measure.window.to",
         "Must be longer than from, such as {from: P7D, to: P8D}."),
        (measured(window={"form": "P7D"}), "measure.window.form", "Unknown field. Did you mean 'from'?"),
        (measured(window={"to": "P367D"}), "measure.window.to", "Must be whole seconds from 1 to 31622400."),
        (measured(window={"from": -1}), "measure.window.from", "Must be whole seconds from 0 to 31622400."),
        (measured(cap={"percentile": 50}), "measure.cap.percentile",
         "Must lie between 50 and 100, such as percentile: 99.5."),
        (measured(cap={"percentile": 100}), "measure.cap.percentile",
         "Must lie between 50 and 100, such as percentile: 99.5."),
        (measured(floor={"percentile": 50}), "measure.floor.percentile",
         "Must lie between 0 and 50, such as percentile: 0.5."),
        (measured(floor={"percentile": 0}), "measure.floor.percentile",
         "Must lie between 0 and 50, such as percentile: 0.5."),
        (measured(cap={}), "measure.cap", "Must have exactly one of at and percentile, such as {percentile: 99.5}."),
        (measured(floor={"at": 1, "percentile": 5}), "measure.floor",
         "Must have exactly one of at and percentile, such as {percentile: 0.5}."),
        (measured(cap={"at": float("inf")}), "measure.cap.at", "Must be a finite number, such as at: 500."),
        (measured(cap={"at": True}), "measure.cap.at", "Must be a number such as at: 500, got True."),
        (measured(cap={"at": 0}), "measure.cap.at",
         "Must not be 0, which withholds the metric (rule M10), such as at: 500."),
        (measured(cap={"at": -5}), "measure.cap.at",
         "Must be above 0, such as at: 500: an identity without an event is 0, and would count as -5."),
        (measured(aggregation="min", missing="zero", cap={"at": -5}), "measure.cap.at",
         "Must be above 0, such as at: 500: an identity without an event is 0, and would count as -5."),
        (measured(cap={"at": 5, "of_nonzero": True}), "measure.cap.of_nonzero",
         "Needs a percentile, such as {percentile: 99.5, of_nonzero: true}."),
        (measured(cap={"at": 5}, floor={"at": 5.5}), "measure.floor.at", "Must not be above the cap, 5."),
        (measured(aggregation="occurrence", cap={"at": 1}), "measure.cap", "Leave it out: an occurrence is 0 or 1."),
        (measured(missing="zero"), "measure.missing",
         "Leave it out: sum of no event is 0. It is for mean, min, max, first and last."),
        (measured(aggregation="min", missing="none"), "measure.missing", "Must be 'left_out' or 'zero', got 'none'."),
        (measured(slice_by="value"), "measure.slice_by",
         "Must be names joined by dots below metadata or traits, such as metadata.category."),
        (measured(where={"field": "value", "is": 1}), "measure.where",
         "Must be a list such as where: [{field: traits.country, is: DE}], got {'field': 'value', 'is': 1}."),
        (conditioned(*[{"field": "value", "is": 1}] * 21), "measure.where", "Must not be more than 20 conditions."),
        (conditioned({"is": 1}), "measure.where.0.field", "This field is required, such as field: traits.country."),
        (conditioned({"field": "value"}), "measure.where.0", f"{ONE_OPERATOR}, such as is: DE."),
        (conditioned({"field": "value", "is": 1, "in": [2]}), "measure.where.0",
         f"{ONE_OPERATOR}, not is and in together: write one condition for each."),
        (conditioned({"field": "value", "equals": 1}), "measure.where.0.equals",
         "Unknown field. Known are field, is, in, not_in, at_least, at_most, exists."),
        (conditioned({"field": "value", "is": [1]}), "measure.where.0.is",
         "Must be one text, number, true or false, such as is: DE."),
        (conditioned({"field": "value", "is": None}), "measure.where.0.is",
         "Must be one text, number, true or false, such as is: DE."),
        (conditioned({"field": "traits.a", "in": [None]}), "measure.where.0.in",
         "Must not hold null, such as in: [DE, AT]. Events without the field have exists: false."),
        (conditioned({"field": "traits.a", "not_in": ["DE", ["AT"]]}), "measure.where.0.not_in",
         "Must be a list of texts, numbers, true or false, such as in: [DE, AT]."),
        (conditioned({"field": "traits.a", "in": "DE"}), "measure.where.0.in", "Must be a list, such as in: [DE, AT]."),
    ],
)  # fmt: skip
def test_read__broken_rule__is_named_with_its_field_and_what_is_allowed(
    definition: dict[str, Any], field: str, message: str
) -> None:
    assert errors_of(definition) == {f"definition.{field}": [message]}


@pytest.mark.parametrize(
    "path", ["", "Value", "country", "traits", "traits.", "traits..a", "traits.a.", ".a", "values.a", "value.a"]
)
def test_read__path_that_leads_nowhere__is_refused(path: str) -> None:
    assert list(errors_of(conditioned({"field": path, "is": 1}))) == ["definition.measure.where.0.field"]


def test_read__cap_below_0__is_allowed_where_nobody_is_0_without_an_event__m10() -> None:
    assert errors_of(measured(aggregation="min", cap={"at": -5})) == {}


def test_read__several_broken_rules__are_all_named_at_once() -> None:
    broken = {**RATIO, "numerator": {"event": 5, "aggregation": "x", "where": [{"field": "a", "is": []}]}, "q": 1}
    assert list(errors_of(broken)) == [
        "definition.q",
        "definition.numerator.event",
        "definition.numerator.aggregation",
        "definition.numerator.where.0.field",
        "definition.numerator.where.0.is",
    ]
    between = measured(window={"from": "P2D", "to": "P1D"}, cap={}, missing="zero", where=[{"field": "value"}])
    assert [path.removeprefix("definition.measure.") for path in errors_of(between)] == [
        "where.0", "window.to", "cap", "missing",
    ]  # fmt: skip


def test_read__ratio_of_complete_identities__needs_an_end_of_both_windows__m8() -> None:
    ended = {**SUM, "window": {"to": "P7D"}}
    assert errors_of({**RATIO, "numerator": ended, "denominator": ended, "maturity": "complete"}) == {}
    refused = errors_of({**RATIO, "numerator": ended, "maturity": "complete"})
    assert list(refused) == ["definition.denominator.window.to"]


@pytest.mark.parametrize(
    ("definition", "version"),
    [({"version": 1}, 1), ({"version": 2}, 2), ({"version": 3}, None), ({"version": True}, None),
     ({"version": "2"}, None), ({"version": []}, None), ({}, None), (2, None), (None, None)],
)  # fmt: skip
def test_version_of__what_is_stated__is_1_or_2_or_none(definition: object, version: int | None) -> None:
    assert version_of(definition) == version
