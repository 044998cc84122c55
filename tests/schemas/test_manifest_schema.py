"""The JSON Schema of manifests agrees with what reads them, on every manifest that this repository holds."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import yaml

from experiment_pipeline.domain.drafts import check_experiment, check_metric
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.manifest_schema import manifest_schema
from experiment_pipeline.schemas.manifests import NOUNS, parse_manifest
from tests.docs.pages import texts

VALIDATOR = jsonschema_rs.Draft202012Validator(manifest_schema(), validate_formats=True)
FENCED = re.compile(r"^ *```yaml.*\n((?:.*\n)*?) *```$", re.MULTILINE)
ENVIRONMENT = "environments: {production: {}}\n"


def content(text: str) -> Any:
    """A YAML text as JSON has it."""
    return json.loads(json.dumps(yaml.safe_load(text), default=lambda moment: moment.isoformat()))


def candidates() -> Iterator[tuple[str, str]]:
    """Every text of the repository that may be a manifest, with the file that it stands in."""
    for path, text in texts():
        if path.endswith(".yaml"):
            yield path, text
        elif path.endswith(".md"):
            yield from ((path, block) for block in FENCED.findall(text))
        elif path.endswith(".py"):
            constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
            yield from ((path, constant) for constant in constants if isinstance(constant, str) and ": " in constant)


def judge(text: str) -> None:
    """Refuse what `apply` refuses of a manifest by itself."""
    manifest = parse_manifest(text)
    for metric in manifest.metrics.values():
        check_metric(metric)
    for experiment in manifest.experiments.values():
        check_experiment(experiment)


def manifests() -> Iterator[tuple[str, Any]]:
    """Every manifest that breaks no rule, with the file that it stands in."""
    for path, text in candidates():
        if any(f"{noun}:" in text for noun in NOUNS):
            try:
                judge(text)
            except ConfigurationError:
                continue
            yield path, content(text)


def test_schema__every_manifest_of_the_repository__is_valid() -> None:
    found = list(manifests())
    assert {"experiment_pipeline/demo/experiments.yaml", "docs/manifest.md", "tests/e2e/conftest.py"} <= {
        path for path, _ in found
    }
    invalid = [(path, error.message) for path, manifest in found for error in VALIDATOR.iter_errors(manifest)]
    assert invalid == []


@pytest.mark.parametrize(
    "text",
    [
        "experimets: {}",
        "metrics: {m: {aggregation: total, definition: {version: 1, event: e}}}",
        "metrics: {m: {aggregation: sum, definition: {version: 2, event: e}}}",
        "metrics: {m: {aggregation: sum}}",
        "metrics: [m]",
        "experiments: {e: {hypothesis: h, feature: f, variants: [{key: 1}]}}",
        "experiments: {e: {hypothesis: h, feature: f, variants: [], status: started}}",
        "experiments: {e: {hypothesis: h, feature: f, variants: [], started_at: 20261101}}",
        "experiments: {e: {hypothesis: h, feature: f, variants: [], refresh_interval: soon}}",
        "experiments: {e: {hypothesis: h, feature: f, variants: [], design: {mdee: 0.1}}}",
        "experiments: {e: {feature: f, variants: []}}",
        "environments: {production: {title: Shop}}",
    ],
)
def test_schema__what_the_reader_refuses__is_invalid(text: str) -> None:
    whole = text if text.startswith("environments") else ENVIRONMENT + text
    assert not VALIDATOR.is_valid(content(whole))


def test_schema__entries_left_empty__are_valid_as_for_the_reader() -> None:
    text = "environments: {production: }\nmetrics:\nexperiments: {e: {name: , hypothesis: h, feature: f, variants: []}}"
    parse_manifest(text)
    assert VALIDATOR.is_valid(content(text))


def test_schema__a_field_with_rules__states_them_in_its_description() -> None:
    share = manifest_schema()["$defs"]["VariantDraft"]["properties"]["percentage_allocation"]
    assert share["description"] == "percent of the traffic, 0 to 100. Must be a number from 0 to 100."
