"""What a declaration may say (rules L3, L6, M1, E8)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.definitions import Defined
from experiment_pipeline.domain.drafts import (
    AttachmentDraft,
    ExperimentDraft,
    MetricDraft,
    VariantDraft,
    check_environment,
    check_experiment,
    check_metric,
    key_from_name,
    to_metric_draft,
    upgraded,
)
from experiment_pipeline.domain.experiments import Design, Variant, VariantRole
from experiment_pipeline.domain.fields import EXPERIMENT_KEY
from experiment_pipeline.domain.measures import Aggregation, Events, Measure, MeasureWindow
from experiment_pipeline.domain.metrics import (
    VERSION_1_AGGREGATIONS,
    Direction,
    ExpectedDirection,
    Maturity,
    Mean,
    Metric,
    Retention,
    mean_of_version_1,
)
from experiment_pipeline.errors import ConfigurationError
from tests.metrics import version_1

INCREASE, DECREASE, NOT_INCREASE, NOT_DECREASE = ExpectedDirection
SHARE = "Must be a share above 0 and below 5: 0.02 is 2 %."
DRAFT = ExperimentDraft(name="n", hypothesis="h", feature="f", variants=(VariantDraft("a", 50.0),))
METRIC = MetricDraft("m", {"version": 1, "event": "e"}, Aggregation.COUNT)


def errors_of(draft: ExperimentDraft) -> dict[str, list[str]]:
    with pytest.raises(ConfigurationError) as refused:
        check_experiment(draft)
    return refused.value.errors


def test_check__control_left_out__is_added_first_with_the_remainder() -> None:
    assert check_experiment(DRAFT) == (
        Variant("control", VariantRole.CONTROL, 50.0),
        Variant("a", VariantRole.TREATMENT, 50.0),
    )


def test_check__empty_keys__are_null_and_may_repeat() -> None:
    arms = check_experiment(replace(DRAFT, variants=(VariantDraft("", 10.0), VariantDraft(None, 20.0))))
    assert [arm.key for arm in arms] == ["control", None, None]


@pytest.mark.parametrize(
    ("variants", "errors"),
    [
        ((VariantDraft("a", 60.0), VariantDraft("b", 60.0)),
         {"variants": ["Variant allocations must not exceed 100%, got 120%."]}),
        ((VariantDraft("control", 60.0), VariantDraft("b", 60.0)),
         {"variants": ["Variant allocations must not exceed 100%, got 120%."]}),
        ((VariantDraft("control", 10.0), VariantDraft("b", 60.0)),
         {"variants": ["Control takes what is not allocated, 40%: leave its allocation out or state just that."]}),
        ((VariantDraft("control", 0.5), VariantDraft("a", 0.5)),
         {"variants": ["Control takes what is not allocated, 99.5%: leave its allocation out or state just that. "
                       "Allocations are per cent: 50 is a half."]}),
        ((), {"variants": ["Only multivariate features can be experimented on: add a treatment."]}),
        ((VariantDraft("control"), VariantDraft("h", 5.0, VariantRole.HOLDOUT)),
         {"variants": ["Only multivariate features can be experimented on: add a treatment."]}),
        ((VariantDraft("a", 5.0), VariantDraft("a", 5.0)),
         {"variants": ["Variant keys must be unique, got 'a' more than once."]}),
        ((VariantDraft("a"),),
         {"variants.0.percentage_allocation": ["This field is required; only control may leave it out."]}),
        ((VariantDraft("a", float("nan")),),
         {"variants.0.percentage_allocation": ["Must be a number from 0 to 100."]}),
        ((VariantDraft("a\x00", 5.0),), {"variants.0.key": ["Must not hold control characters."]}),
        ((VariantDraft("x" * 2001, 5.0),), {"variants.0.key": ["Must not be longer than 2000 characters."]}),
        ((VariantDraft("a", 5.0), VariantDraft("other", None, VariantRole.CONTROL)),
         {"variants.1.key": ["The key 'control' is reserved for the control, which must have it."]}),
        ((VariantDraft("a", 5.0), VariantDraft("control", 5.0, VariantRole.HOLDOUT)),
         {"variants.1.key": ["The key 'control' is reserved for the control, which must have it."]}),
    ],
)  # fmt: skip
def test_check__variants_that_break_a_rule__name_it(
    variants: tuple[VariantDraft, ...], errors: dict[str, list[str]]
) -> None:
    assert errors_of(replace(DRAFT, variants=variants)) == errors


def test_check__several_rules_broken__all_are_named_at_once() -> None:
    broken = replace(DRAFT, name="", design=Design(alpha=0.9), variants=())
    assert list(errors_of(broken)) == ["name", "design.alpha", "variants"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "1st"), ("key", "a b"), ("key", "a" * 81), ("key", "a\n"), ("name", ""), ("name", " "),
        ("name", "a\x00"), ("name", "x" * 256), ("hypothesis", "\x00"), ("feature", ""),
        ("feature", "ü" * 1001), ("feature", "a\tb"),
        ("refresh_interval", timedelta(minutes=4)), ("refresh_interval", timedelta(days=367)),
    ],
)  # fmt: skip
def test_check__field_that_breaks_a_rule__names_it(field: str, value: Any) -> None:
    assert list(errors_of(replace(DRAFT, **{field: value}))) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0.0), ("alpha", 0.5), ("alpha", float("nan")), ("power", 1.0), ("mde", 0.0), ("mde", float("inf")),
        ("mde", 5.0), ("mde", 20.0),
        ("n_looks", 0), ("n_looks", 1001), ("baseline", float("inf")),
    ],
)  # fmt: skip
def test_check__design_that_breaks_a_rule__names_it(field: str, value: Any) -> None:
    design: Any = {field: value}
    assert list(errors_of(replace(DRAFT, design=Design(**design)))) == [f"design.{field}"]


def test_check__power_that_is_no_more_than_alpha__is_refused__c6() -> None:
    draft = replace(DRAFT, design=Design(alpha=0.2, power=0.2))
    assert errors_of(draft) == {"design.power": ["Must be greater than alpha."]}
    check_experiment(replace(draft, design=Design(alpha=0.2, power=0.3)))


@pytest.mark.parametrize(
    ("baseline", "message"),
    [(None, "Needed with mde, which is relative to it."), (0.0, "Must not be 0: mde is relative to it.")],
)
def test_check__design_with_an_effect_that_is_relative_to_nothing__names_the_baseline(
    baseline: float | None, message: str
) -> None:
    draft = replace(DRAFT, design=Design(mde=0.1, baseline=baseline))
    assert errors_of(draft) == {"design.baseline": [message]}
    check_experiment(replace(draft, name="New"), draft)  # what an older version stored may still be renamed
    with pytest.raises(ConfigurationError, match=r"^design\.baseline: "):
        check_experiment(replace(draft, design=Design(mde=0.2, baseline=baseline)), draft)


@pytest.mark.parametrize(
    ("expected", "margin", "message"),
    [
        (INCREASE, 0.02, "Only a guardrail has a margin: not_increase or not_decrease, and this one is increase."),
        (DECREASE, 0.02, "Only a guardrail has a margin: not_increase or not_decrease, and this one is decrease."),
        (NOT_DECREASE, 1.0, "Must be below 1 for not_decrease: 1 is all of control's mean."),
        *((NOT_DECREASE, margin, SHARE) for margin in (0.0, -0.02, 5.0, float("inf"), float("nan"))),
        (NOT_INCREASE, 5.0, SHARE),
        (NOT_DECREASE, "2 %", "Input should be a valid number"),
        (NOT_DECREASE, True, "Input should be a valid number"),
    ],
)
def test_check__margin_that_breaks_a_rule__is_named_with_what_is_allowed__m16(
    expected: ExpectedDirection, margin: Any, message: str
) -> None:
    metrics = (AttachmentDraft(1, INCREASE), AttachmentDraft(2, expected, margin))
    assert errors_of(replace(DRAFT, metrics=metrics)) == {"metrics.1.margin": [message]}


def test_check__margins_of_guardrails__are_allowed__m16() -> None:
    check_experiment(
        replace(DRAFT, metrics=(AttachmentDraft(1, NOT_DECREASE, 0.99), AttachmentDraft(2, NOT_INCREASE, 1.5)))
    )


@pytest.mark.parametrize(
    ("definition", "messages"),
    [
        ("purchase", ["Definition must be an object."]),
        ({"event": "e"}, ["Definition must specify a supported 'version'."]),
        ({"version": True, "event": "e"}, ["Definition must specify a supported 'version'."]),
        ({"version": 1}, ["Definition must specify a non-empty 'event'."]),
        ({"version": 1, "event": " "}, ["Definition must specify a non-empty 'event'."]),
        ({"version": 3, "event": 5},
         ["Definition must specify a supported 'version'.", "Definition must specify a non-empty 'event'."]),
        ({"version": 1, "event": "e", "wher": 1}, ["Unknown field 'wher'."]),
    ],
)  # fmt: skip
def test_check_metric__definition_that_breaks_a_rule__says_which(definition: object, messages: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_metric(replace(METRIC, definition=definition))
    assert refused.value.errors["definition"] == messages


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"event": "e"}, "This field is required: 1 or 2."),
        ({"version": 3, "event": "e"}, "Must be 1 or 2, got 3."),
        ({"version": "2", "statistic": "mean"}, "Must be 1 or 2, got '2'."),
        ({"version": True, "event": "e"}, "Must be 1 or 2, got True."),
    ],
)
def test_check_metric__version_that_there_is_not__says_which_there_are(
    definition: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_metric(replace(METRIC, definition=definition))
    assert refused.value.errors == {
        "definition": ["Definition must specify a supported 'version'."],
        "definition.version": [message],
    }


@pytest.mark.parametrize("window", [timedelta(0), timedelta(seconds=1.5), timedelta(days=400)])
def test_check_metric__window_out_of_range__is_refused(window: timedelta) -> None:
    with pytest.raises(ConfigurationError, match=r"^window: Must be whole seconds"):
        check_metric(replace(METRIC, window=window))


@pytest.mark.parametrize("key", ["", "a/b", "ü", "a" * 256, "a\n"])
def test_check_environment__key_that_is_no_path_part__is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^key: "):
        check_environment(key, "Name")


@given(st.text(min_size=1, max_size=300))
def test_key_from_name__any_name__is_a_key(name: str) -> None:
    assert EXPERIMENT_KEY.fullmatch(key_from_name(name, lambda _: False))


MEAN_OF_SUM = {"version": 2, "statistic": "mean", "measure": {"event": "e", "aggregation": "sum"}}


def test_check_metric__version_2__is_the_whole_definition() -> None:
    defined = check_metric(MetricDraft("m", MEAN_OF_SUM, unit="EUR"))
    assert defined == Defined(2, Mean(Measure(Events("e"), Aggregation.SUM)))


def test_check_metric__version_1__has_its_aggregation_and_window_beside_it() -> None:
    assert check_metric(replace(METRIC, window=timedelta(days=1))) == Defined(
        1, mean_of_version_1("e", Aggregation.COUNT, timedelta(days=1))
    )


@pytest.mark.parametrize(
    ("draft", "errors"),
    [
        (replace(METRIC, aggregation=None), {"aggregation": ["This field is required."]}),
        (replace(METRIC, unit="EUR"), {"unit": ["Belongs to version 2, such as definition: {version: 2, ...}."]}),
        (replace(METRIC, definition=MEAN_OF_SUM, window=timedelta(days=1)),
         {"aggregation": ["Belongs to version 1. In version 2 it is a part of the definition, such as measure: {event: "
                          "purchased, aggregation: sum}."],
          "window": ["Belongs to version 1. In version 2 it is a part of the definition, such as measure: {event: "
                     "purchased, aggregation: sum, window: {to: P7D}}."]}),
        (MetricDraft("", {**MEAN_OF_SUM, "q": 0.5}, unit="a\nb"),
         {"name": ["Must not be empty."], "unit": ["Must not hold control characters."],
          "definition.q": ["A mean has none, which belongs to quantile: a metric has one statistic. Leave it out, or "
                           "declare another metric for it."]}),
        (MetricDraft("m", MEAN_OF_SUM, unit="x" * 41), {"unit": ["Must not be longer than 40 characters."]}),
        (MetricDraft("m", {**MEAN_OF_SUM, "version": 3}, unit="EUR"),
         {"definition": ["Definition must specify a supported 'version'."],
          "definition.version": ["Must be 1 or 2, got 3."]}),
    ],
)  # fmt: skip
def test_check_metric__fields_beside_the_definition__belong_to_one_version(
    draft: MetricDraft, errors: dict[str, list[str]]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_metric(draft)
    assert refused.value.errors == errors


@pytest.mark.parametrize("metric", [
    version_1(1, "production", "m", "e", Aggregation.MEAN, Direction.DOWN, "d", timedelta(days=7)),
    Metric(1, "production", "m", Retention(Measure(Events("e", window=MeasureWindow(timedelta(1), timedelta(2))),
                                                   Aggregation.OCCURRENCE)), maturity=Maturity.COMPLETE, unit="%"),
])  # fmt: skip
def test_to_metric_draft__of_each_version__declares_the_same_metric_again(metric: Metric) -> None:
    draft = to_metric_draft(metric)
    defined = check_metric(draft)
    assert (defined.version, defined.statistic, defined.maturity) == (metric.version, metric.statistic, metric.maturity)
    assert (draft.name, draft.direction, draft.description, draft.unit) == (
        metric.name, metric.direction, metric.description, metric.unit,
    )  # fmt: skip


@pytest.mark.parametrize("aggregation", VERSION_1_AGGREGATIONS)
def test_upgraded__metric_of_version_1__measures_the_same_in_version_2(aggregation: Aggregation) -> None:
    metric = version_1(1, "production", "m", "e", aggregation, Direction.DOWN, "d", timedelta(days=7))
    draft = upgraded(metric)
    measure: dict[str, object] = {"event": "e", "aggregation": aggregation.value, "window": {"to": "P7D"}}
    if aggregation is Aggregation.MEAN:
        measure["missing"] = "zero"
    assert draft == MetricDraft(
        "m", {"version": 2, "statistic": "mean", "measure": measure}, None, Direction.DOWN, "d", None
    )
    (same,), (read,) = metric.measures, replace(metric, statistic=check_metric(draft).statistic).measures
    assert (read.events, read.aggregation, read.may_lack_value) == (same.events, same.aggregation, same.may_lack_value)
