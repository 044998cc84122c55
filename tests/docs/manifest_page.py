"""The tables of docs/manifest.md, made from the JSON Schema; `python -m tests.docs.manifest_page` writes them."""

import json
import re
from typing import Any

from experiment_pipeline.schemas.manifest_schema import manifest_schema
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "manifest.md"
BEGIN, END = "<!-- tables made from the schema: begin -->\n", "<!-- end -->\n"
PARTS = {  # of the schema, by the heading of their table
    "environments": ("EnvironmentBody", "An entry is named by the key: `production:` is enough."),
    "connections": ("ConnectionDraft", "Where data is; an entry is named by the key."),
    "sources": ("DeclaredSource", "An entry is named by the key. See [sources.md](sources.md)."),
    "event of a row": ("RowMapping", "A text is a column's name; of `event` and `feature` it is the value itself."),
    "link of a row": ("LinkMapping", "In the place of an event: see [identity links](sources.md#identity-links)."),
    "field of a row": ("FieldSource", "One of `column` and `constant`."),
    "cursor of a source": ("Cursor", ""),
    "metrics": ("DeclaredMetric", "An entry is named by the metric's name."),
    "definition of version 1": ("Version1Form", "One event; `aggregation` and `window` stand beside the definition."),
    "definition of a mean": ("MeanForm", "The mean of a measure over identities."),
    "definition of a ratio": ("RatioForm", "The sum of one measure divided by that of another one."),
    "definition of a quantile of identities": ("QuantileForm", "The median of a measure, say, over identities."),
    "definition of a quantile of events": ("EventQuantileForm", "The same over the values of single events."),
    "definition of a retention": ("RetentionForm", "The share of identities with an event in a window."),
    "definition of a funnel": ("FunnelForm", "The share of identities that reach the last step."),
    "measure": ("MeasureForm", "One number of each identity, made of its events."),
    "events of a step, a retention or an entry": ("EventsForm", ""),
    "events of a quantile of events": ("EventValuesForm", ""),
    "condition of `where` or `only`": ("ConditionForm", "A field, and one comparison."),
    "window of a measure or a retention": ("WindowForm", "Half-open: an event at `to` does not count any more."),
    "cap of a measure": ("CapForm", "One of `at` and `percentile`."),
    "floor of a measure": ("FloorForm", "One of `at` and `percentile`."),
    "covariate of a mean": ("CovariateForm", ""),
    "experiments": ("DeclaredExperiment", "An entry is named by the experiment's key."),
    "variants of an experiment": ("VariantDraft", ""),
    "metrics of an experiment": ("AttachmentDraft", ""),
    "design of an experiment": ("Design", ""),
    "prior of an experiment": ("Prior", "A normal distribution of the lift on the primary metric."),
    "dimension of an experiment": ("Dimension", ""),
    "notifications": ("TargetDraft", "A target, named by the key. See [notifications.md](notifications.md)."),
}  # fmt: skip

ELSEWHERE = {  # what another page lists
    "Aggregation": "one of those of [rule M6](rules.md#m6), such as `sum`",
    "NotificationEvent": "one of [these events](notifications.md), such as `decision_reached`",
}


def tables() -> str:
    """Return one table of fields per part of a manifest."""
    schema = manifest_schema()
    return "\n".join(_table(schema, heading, *part) for heading, part in PARTS.items())


def generated(page: str) -> str:
    """Return the part of a page that `tables` writes."""
    return page.partition(BEGIN)[2].partition(END)[0]


def _table(schema: dict[str, Any], heading: str, name: str, intro: str) -> str:
    part = schema["$defs"][name]
    rows = [_row(schema, part, field) for field in part["properties"]]
    lines = [
        f"### {heading}",
        *([intro, ""] if intro else []),
        "| field | allowed | default | |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *rows]) + "\n"


def _row(schema: dict[str, Any], part: dict[str, Any], name: str) -> str:
    field = part["properties"][name]
    allowed = ", ".join(dict.fromkeys(_allowed(schema, field)))
    default = "**required**" if name in part.get("required", ()) else _default(field)
    return f"| `{name}` | {allowed} | {default} | {field.get('description', '')} |"


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "" if default in (None, "", [], {}) else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _allowed(schema: dict[str, Any], field: dict[str, Any]) -> list[str]:
    """Return what may stand in a field: values, kinds, or where they are listed."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        if name in ELSEWHERE:
            return [ELSEWHERE[name]]
        referred = schema["$defs"][name]
        return [f"`{value}`" for value in referred["enum"]] if "enum" in referred else [_link(name)]
    if "anyOf" in field:
        return [each for choice in field["anyOf"] if choice != {"type": "null"} for each in _allowed(schema, choice)]
    return [_kind(field)]


def _link(name: str) -> str:
    """Return a link to the table of a part of the schema."""
    heading = next(heading for heading, (part, _) in PARTS.items() if part == name)
    return f"[{heading}](#{re.sub('[`,]', '', heading).replace(' ', '-')})"


def _kind(field: dict[str, Any]) -> str:
    if "format" in field:
        return {
            "date": "a date, such as `2015-01-01`",
            "date-time": "a time with its zone, such as `2026-11-01T00:00:00Z`",
            "duration": "an ISO 8601 duration such as `PT1H`",
        }[field["format"]]
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field["type"] == "array":
        return _kind_of_list(field["items"])
    return {
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "object": "a mapping of texts",
    }[field["type"]]


def _kind_of_list(items: dict[str, Any]) -> str:
    if "$ref" in items and (name := items["$ref"].rpartition("/")[2]) in ELSEWHERE:
        return f"a list: {ELSEWHERE[name]}"
    if "$ref" in items:
        return f"a list of {_link(items['$ref'].rpartition('/')[2])}"
    if items.get("type") == "array":
        return "a list of pairs"
    return "a list of texts, numbers, true or false" if "anyOf" in items else "a list of texts"


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    PAGE.write_text(text.replace(generated(text), tables()), "utf-8")
