"""Messages of definitions of version 2 that are not valid: what is allowed, what was found, the name that was meant."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from experiment_pipeline.domain.fields import MESSAGES, adapter
from experiment_pipeline.domain.texts import printable, shortened, suggestion

EXAMPLES = {  # of fields, in the YAML of a manifest
    "event": "event: purchased",
    "aggregation": "aggregation: sum",
    "measure": "measure: {event: purchased, aggregation: sum}",
    "numerator": "numerator: {event: purchased, aggregation: sum}",
    "denominator": "denominator: {event: purchased, aggregation: count}",
    "q": "q: 0.9",
    "steps": "steps: [{event: cart_viewed}, {event: purchased}]",
    "where": "where: [{field: traits.country, is: DE}]",
    "field": "field: traits.country",
    "window": "window: {from: P7D, to: P8D}",
    "before": "before: P14D",
    "covariate": "covariate: {before: P14D}",
    "cap": "cap: {percentile: 99.5}",
    "floor": "floor: {percentile: 0.5}",
    "at": "at: 500",
    "percentile": "percentile: 99.5",
    "of_nonzero": "of_nonzero: true",
    "slice_by": "slice_by: metadata.category",
}
ITEMS = {"where": "{field: traits.country, is: DE}", "steps": "{event: cart_viewed}"}
OF_MEASURES = {"event", "where", "aggregation", "cap", "floor", "missing", "slice_by", "window"}
UNKNOWN_FIELD = {"extra_forbidden", "unexpected_keyword_argument"}
QUOTED = re.compile("'([^']*)'")
SHOWN = 60  # characters of what was found


def explain(errors: Iterable[Mapping[str, Any]], form: type) -> dict[str, list[str]]:
    """Return pydantic's errors of a form as messages by dotted field.

    Args:
        errors: as `ValidationError.errors()` lists them, with their input.
        form: the class that was validated.
    """
    explained: dict[str, list[str]] = {}
    for error in errors:
        place = tuple(str(part) for part in error["loc"])
        explained.setdefault(".".join(place), []).append(_message(error, place, form))
    return explained


def chosen(allowed: Iterable[str], found: object, *, missing: bool = False) -> str:
    """Return the message of a field that must be one of several words."""
    words = [f"'{each}'" for each in allowed]
    listed = f"{', '.join(words[:-1])} or {words[-1]}"
    if missing:
        return f"This field is required: {listed}."
    near = suggestion(found, [word[1:-1] for word in words]) if isinstance(found, str) else ""
    return f"Must be {listed}, got {_shown(found)}.{near}"


def _message(error: Mapping[str, Any], place: tuple[str, ...], form: type) -> str:
    kind, found, name = error["type"], error.get("input"), place[-1]
    example = EXAMPLES.get(name, ITEMS.get(place[-2], name) if len(place) > 1 else name)
    if kind == "missing":
        return f"This field is required, such as {example}."
    if kind in UNKNOWN_FIELD:
        return _unknown(place, known_fields(form, place[:-1]))
    if kind in ("enum", "literal_error"):
        return chosen(QUOTED.findall(str(error["ctx"]["expected"])), found)
    if kind.endswith(("_type", "_parsing")):
        return f"Must be {_wanted(kind)} such as {example}, got {_shown(found)}."
    message: str = error["msg"]
    return MESSAGES.get(kind, message.removeprefix("Value error, "))


def _unknown(place: tuple[str, ...], known: list[str]) -> str:
    name = place[-1]
    if len(place) == 1 and name in OF_MEASURES:
        example = EXAMPLES["measure"]
        return f"It belongs to a measure, such as {example}."
    if name in OF_MEASURES:
        return "Leave it out here: steps, retention and quantiles of events read events, not an aggregated measure."
    listed = f" Known are {', '.join(known)}."
    return f"Unknown field.{suggestion(name, known) or listed}"


def _wanted(kind: str) -> str:
    if kind in ("dataclass_type", "model_type", "dict_type"):
        return "an object"
    if kind in ("tuple_type", "list_type"):
        return "a list"
    return {"string_type": "text", "float_type": "a number", "bool_type": "true or false"}.get(kind, "a value")


def _shown(found: object) -> str:
    return "nothing" if found is None else printable(shortened(repr(found), SHOWN))


def known_fields(form: type, place: Iterable[str]) -> list[str]:
    """Return the names of the fields that a form has at a place below it; none where the place has no fields."""
    schema = adapter(form).json_schema()
    node = schema
    for part in place:
        node = _resolved(schema, node)
        node = node.get("items", {}) if part.isdigit() else node.get("properties", {}).get(part, {})
    return list(_resolved(schema, node).get("properties", ()))


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return a node of a JSON Schema without references and without the choice of null."""
    if "anyOf" in node:
        node = next(choice for choice in node["anyOf"] if choice != {"type": "null"})
    return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
