"""Errors name the line of the field that they are about."""

import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.manifest_lines import naming_lines

TEXT = """\
environments: {production: {}}
shared: &shared
  feature: banner
  design:
    mde: 0.2
experiments:
  first.of.all:
    hypothesis: h
    variants:
      - {key: a, percentage_allocation: 50}
      - key: b
        percentage_allocation: 150
  second:
    <<: *shared
    hypothesis: h
"""


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("experiments.first.of.all.variants.1.percentage_allocation", 12),
        ("experiments.first.of.all.variants.0.role", 10),
        ("experiments.first.of.all.feature", 7),
        ("experiments.second.design.mde", 5),
        ("experiments.second", 13),
        ("experiments", 6),
    ],
)
def test_naming_lines__field__has_its_line_or_that_of_the_entry_above(field: str, named: int) -> None:
    with pytest.raises(ConfigurationError) as refused, naming_lines(TEXT):
        raise ConfigurationError.of(field, "Wrong.")
    assert refused.value.errors == {f"{field} (line {named})": ["Wrong."]}


@pytest.mark.parametrize("text", [TEXT, "a: [1", "just text", ""])
def test_naming_lines__field_of_no_entry__stays_as_it_is(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused, naming_lines(text):
        raise ConfigurationError.of("--environment", "Wrong.")
    assert refused.value.errors == {"--environment": ["Wrong."]}


def test_naming_lines__definition_of_a_metric__has_an_example() -> None:
    text = "metrics:\n  bought:\n    definition: purchase\n"
    with pytest.raises(ConfigurationError) as refused, naming_lines(text):
        raise ConfigurationError.of("metrics.bought.definition", "Wrong.")
    assert refused.value.errors == {
        "metrics.bought.definition (line 3)": ["Wrong.", "Write for example {version: 1, event: purchase}."]
    }
