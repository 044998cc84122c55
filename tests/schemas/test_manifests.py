"""Bodies and manifests: parsed strictly, errors name line or field."""

import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.manifests import parse_manifest

ENVIRONMENT = "environments: {production: {}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 1: expected ',' or ']'"),
        ("environments: {a: {}}\nenvironments: {b: {}}", "line 2: duplicate key 'environments'"),
        ("just text", "YAML: Must be a mapping"),
        ("", "YAML: Must be a mapping"),
        ("a: !!python/object:os.system {}", "line 1: could not determine a constructor"),
        ("\x00", "YAML: unacceptable character"),
        ("? [a, b]\n: 1", "line 1: "),
        (ENVIRONMENT + "experimets: {}", "experimets: Unknown field. Did you mean 'experiments'?"),
        (ENVIRONMENT + "metrics: {m: {aggregation: total, definition: {}}}",
         "metrics.m.aggregation: Must be 'occurrence', 'count', 'sum' or 'mean', got 'total'."),
        ("environments: {a: {}, b: {}}\nmetrics: {m: {aggregation: sum, definition: {}}}",
         "metrics.m.environment: This field is required: the file declares several environments. Name one of a, b."),
        (ENVIRONMENT + "experiments: {e: {key: f, hypothesis: h, feature: f, variants: []}}",
         "experiments.e.key: Must be left out"),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [{key: 1}]}}",
         "experiments.e.variants.0.key: Must be text: write \"1\", in quotes."),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], started_at: 2026-01-01T00:00:00}}",
         "experiments.e.started_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z."),
        *(
            (ENVIRONMENT + f"experiments: {{e: {{hypothesis: h, feature: f, variants: [], started_at: {number}}}}}",
             f"e.started_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z, not the number {number}.")
            for number in (20261101, 1772400000, 1772400000.5)
        ),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], ended_at: '1772400000'}}",
         "experiments.e.ended_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z."),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], started_at: 2026-11-01}}",
         "experiments.e.started_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z."),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], refresh_interval: soon}}",
         "experiments.e.refresh_interval: Must be whole seconds or an ISO-8601 duration such as PT1H."),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], metrics: [{metric: true}]}}",
         "experiments.e.metrics.0.metric: Must be a metric's id or its name."),
    ],
)  # fmt: skip
def test_parse_manifest__broken_file__names_line_or_field(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_manifest(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_parse_manifest__entries_without_names__are_named_by_their_place() -> None:
    manifest = parse_manifest(
        ENVIRONMENT + "metrics: {m: {name: null, aggregation: sum, definition: {}}}\n"
        "experiments: {e: {name: '', hypothesis: h, feature: f, variants: []}}"
    )
    experiment = manifest.experiments["e"]
    assert (manifest.metrics["m"].name, manifest.metrics["m"].environment) == ("m", "production")
    assert (experiment.key, experiment.name, experiment.environment) == ("e", "e", "production")


@pytest.mark.parametrize("text", ["{}", "environments:", "environments: {}", "metrics:"])
def test_parse_manifest__without_environments__is_allowed(text: str) -> None:
    assert parse_manifest(text).environments == {}


def test_parse_manifest__environment_without_a_value__is_declared_without_a_name() -> None:
    assert parse_manifest("environments: {production: }").environments["production"].name is None


WRONG_AND_RIGHT = (
    "environments: {a: {}}\nmetrics: {right: {aggregation: sum, definition: {}}, wrong: 5}\nexperiments: {wrong: 5}"
)


@pytest.mark.parametrize("only", [["metrics.right"], ["environments", "metrics.right"]])
def test_parse_manifest__only_one_entry__ignores_what_is_wrong_elsewhere(only: list[str]) -> None:
    manifest = parse_manifest(WRONG_AND_RIGHT, only=only)
    assert (list(manifest.metrics), list(manifest.experiments)) == (["right"], [])
    assert manifest.metrics["right"].environment == "a"
    assert bool(manifest.environments) is ("environments" in only)


def test_parse_manifest__only_an_entry_that_is_not_there__names_the_likely_one() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_manifest(WRONG_AND_RIGHT, only=["metrics.rihgt"])
    assert str(refused.value) == "--only: The file has no 'metrics.rihgt'. Did you mean 'metrics.right'?"


def test_parse_manifest__several_environments__each_entry_names_its_own() -> None:
    manifest = parse_manifest(
        "environments: {a: {}, b: {}}\nmetrics: {m: {environment: b, aggregation: sum, definition: {}}}"
    )
    assert (manifest.metrics["m"].environment, manifest.metrics["m"].name) == ("b", "m")
