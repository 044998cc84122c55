"""Each mistake in a manifest gets the allowed values, what was found, and the likely name."""

import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.manifests import parse_manifest

EXPERIMENT = "experiments: {e: {hypothesis: h, feature: f, variants: [{key: a, percentage_allocation: 50}], %s}}"


def errors_of(text: str) -> dict[str, list[str]]:
    with pytest.raises(ConfigurationError) as refused:
        parse_manifest(text)
    return refused.value.errors


@pytest.mark.parametrize(
    ("field", "place", "message"),
    [
        ("desing: {}", "desing", "Unknown field. Did you mean 'design'?"),
        ("design: {x: 1}", "design.x",
         "Unknown field. Known are alpha, baseline, mde, n_looks, power, standard_deviation."),
        ("design: {mdee: 1}", "design.mdee", "Unknown field. Did you mean 'mde'?"),
        ("metrics: [{metric: m, expected: up}]", "metrics.0.expected",
         "Unknown field. Did you mean 'expected_direction'?"),
        ("status: runing", "status",
         "Must be 'created', 'running', 'paused' or 'completed', got 'runing'. Did you mean 'running'?"),
        ("multiple_exposures: last", "multiple_exposures", "Must be 'exclude' or 'first', got 'last'."),
        ("metrics: [{metric: m, expected_direction: up}]", "metrics.0.expected_direction",
         "Must be 'increase', 'decrease', 'not_increase' or 'not_decrease', got 'up'."),
        ("metrics: [purchase]", "metrics.0",
         "Must be a mapping such as {metric: purchase, expected_direction: increase}, got 'purchase'."),
        ("metrics: {metric: m}", "metrics",
         "Must be a list such as [{metric: purchase, expected_direction: increase}], got {'metric': 'm'}."),
        ("cross: [a, b]", "cross.0", "Must be a pair of dimensions, such as cross: [[country, device]], got 'a'."),
        ("cross: country", "cross", "Must be a list such as [[country, device]], got 'country'."),
        ("name: 5", "name", 'Must be text: write "5", in quotes.'),
        ("hypothesis: [a]", "hypothesis", "Must be text, got ['a']."),
        ("design: {alpha: '5 %'}", "design.alpha", "Must be a number, without quotes and without a unit, got '5 %'."),
        ("design: {n_looks: 2.5}", "design.n_looks", "Must be a number, without quotes and without a unit, got 2.5."),
        ("design: {mde: 20}", "design.mde", "Must be a share above 0 and below 5: 0.2 is 20 %."),
    ],
)  # fmt: skip
def test_explain__field_of_an_experiment__says_what_is_allowed(field: str, place: str, message: str) -> None:
    text = EXPERIMENT.replace("hypothesis: h, ", "") if "hypothesis" in field else EXPERIMENT
    assert errors_of(text % field)[f"experiments.e.{place}"] == [message]


@pytest.mark.parametrize(
    ("variants", "place", "message"),
    [
        ("[{key: on, percentage_allocation: 50}]", "variants.0.key",
         "Must be text, and YAML reads on, off, yes, no, true and false as something else: write it in quotes."),
        ("[{key: a, percentage_allocation: 50%}]", "variants.0.percentage_allocation",
         "Must be a number, without quotes and without a unit, got '50%'."),
        ("[larger]", "variants.0", "Must be a mapping such as {key: larger, percentage_allocation: 50}, got 'larger'."),
        ("{larger: 50}", "variants",
         "Must be a list such as [{key: larger, percentage_allocation: 50}], got {'larger': 50}."),
        ("[{key: a, percentage_allocaton: 50}]", "variants.0.percentage_allocaton",
         "Unknown field. Did you mean 'percentage_allocation'?"),
        ("[{key: a, role: treatmnt}]", "variants.0.role",
         "Must be 'control', 'treatment' or 'holdout', got 'treatmnt'. Did you mean 'treatment'?"),
    ],
)  # fmt: skip
def test_explain__variants__say_what_is_allowed(variants: str, place: str, message: str) -> None:
    text = f"experiments: {{e: {{hypothesis: h, feature: f, variants: {variants}}}}}"
    assert errors_of(text) == {f"experiments.e.{place}": [message]}


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [("metrics: [purchase]", "metrics", "['purchase']"), ("experiments: {e: }", "experiments.e", "nothing")],
)
def test_explain__section_of_another_shape__says_what_it_is(text: str, place: str, found: str) -> None:
    assert errors_of(text) == {place: [f"Must be a mapping such as {{name: value}}, got {found}."]}


def test_explain__long_value__is_shown_by_its_beginning() -> None:
    (message,) = errors_of(EXPERIMENT % f"status: {'x' * 500}")["experiments.e.status"]
    assert len(message) < 150


def test_explain__long_field__is_named_by_its_beginning() -> None:
    (field,) = errors_of(EXPERIMENT % f"{'x' * 500}: 1")
    assert len(field) < 100


def test_explain__misspelt_field_that_is_required__is_told_before_the_missing_one() -> None:
    metric = "metrics: {purchase: {aggregation: sum, defintion: {version: 1, event: e}, direction: sideways}}"
    assert list(errors_of(metric).items())[:2] == [
        ("metrics.purchase.defintion", ["Unknown field. Did you mean 'definition'?"]),
        ("metrics.purchase.definition", ["This field is required. 'defintion' is probably meant to be it."]),
    ]
    variants = EXPERIMENT.replace("key: a", "Key: a") % "name: e"
    assert list(errors_of(variants)) == ["experiments.e.variants.0.Key"]  # a key may be left out
    missing = EXPERIMENT.replace("feature: f, ", "flag: f, ") % "name: e"
    assert errors_of(missing)["experiments.e.feature"] == ["This field is required."]


def test_explain__event_outside_of_the_definition__says_where_it_belongs() -> None:
    errors = errors_of("metrics: {bought: {aggregation: sum, event: purchase}}")
    assert errors["metrics.bought.event"] == [
        "Unknown field. The name of the event belongs in definition: {version: 1, event: purchase}."
    ]


def test_parse_manifest__tab__is_called_one() -> None:
    assert errors_of("metrics:\n\tbought: {}") == {"line 2": ["A tab stands where YAML wants spaces."]}
