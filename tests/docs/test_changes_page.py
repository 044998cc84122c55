"""docs/changes.md names every field of a declaration, with the time until which the code lets it change."""

import re
from dataclasses import fields

from experiment_pipeline.domain.drafts import ExperimentDraft, MetricDraft
from experiment_pipeline.domain.lifecycle import ALWAYS_EDITABLE, IMMUTABLE
from tests.docs.pages import documents

ROW = re.compile(r"^\| (`.+?`) \| (\w+)", re.MULTILINE)
SECTION = documents()["docs/changes.md"].partition("## What may change")[2].partition("\n## ")[0]
EXPERIMENT, METRIC = SECTION.split("| field of a metric")


def rows(table: str) -> dict[str, str]:
    """The first word of when a field may change, by the field's name."""
    return {name: when for cell, when in ROW.findall(table) for name in re.findall("`([^`]+)`", cell)}


def test_changes_page__fields_of_an_experiment__change_when_the_code_allows_it() -> None:
    drafts = {each.name for each in fields(ExperimentDraft)}
    expected = dict.fromkeys(drafts - {*ALWAYS_EDITABLE, *IMMUTABLE}, "until")
    expected |= dict.fromkeys(ALWAYS_EDITABLE, "always") | dict.fromkeys(IMMUTABLE, "never")
    assert {name: when for name, when in rows(EXPERIMENT).items() if name in drafts} == expected


def test_changes_page__fields_of_a_metric__are_all_named() -> None:
    assert rows(METRIC).keys() == {each.name for each in fields(MetricDraft)}
