"""Messages of a manifest that is not valid: what is allowed, what was found, and the name that was probably meant."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any

from experiment_pipeline.domain.definition_rules import field_names
from experiment_pipeline.domain.fields import MESSAGES
from experiment_pipeline.domain.row_mapping import FIELDS
from experiment_pipeline.domain.texts import nearest, quoted, shortened, suggestion

UNKNOWN_FIELD = {"extra_forbidden", "unexpected_keyword_argument"}
MAPPING = {"dataclass_type", "model_type", "model_attributes_type", "dict_type"}
LIST = {"tuple_type", "list_type"}
NUMBER = {"float_type", "int_type", "float_parsing", "int_parsing", "int_from_float"}
SHAPES = {  # of what stands in a list, by the list's name
    "variants": "{key: larger, percentage_allocation: 50}",
    "metrics": "{metric: purchase, expected_direction: increase}",
    "dimensions": "{name: country, trait: country}",
    "cross": "[country, device]",
    "only": "{field: traits.country, is: DE}",
    "as": "{event: purchased, identifier: user_id, timestamp: created_at}",
}
DEFINITION = "{version: 1, event: purchase}"
ELSEWHERE = {"metrics.*.event": f" The name of the event belongs in definition: {DEFINITION}."}  # by place
EXAMPLES = {"metrics.*.definition": f"Write for example {DEFINITION}."}
QUOTED = re.compile("'([^']*)'")
SHOWN = 60  # characters of what was found


def explain(errors: Iterable[Mapping[str, Any]], parts: Mapping[str, type]) -> dict[str, list[str]]:
    """Return pydantic's errors of a manifest as messages by dotted field.

    Args:
        errors: as `ValidationError.errors()` lists them, with their input.
        parts: the classes that a manifest is made of, by the place of each with `*` for names and positions: `` for
            the manifest, `experiments.*.variants.*` for a variant.
    """
    found = [(tuple(str(part) for part in error["loc"]), error) for error in errors]
    found.sort(key=lambda each: each[1]["type"] not in UNKNOWN_FIELD)  # a misspelt field is why another one is missing
    misspelt: dict[tuple[str, ...], str] = {}  # the name that stands in the file, by the place that it was meant for
    explained: dict[str, list[str]] = {}
    for place, error in found:
        if error["type"] in UNKNOWN_FIELD:
            known = _field_names(parts.get(_pattern(place[:-1]), object))
            advice = ELSEWHERE.get(_pattern(place)) or suggestion(place[-1], known) or _allowed(known)
            message = f"Unknown field.{advice}"
            misspelt |= {(*place[:-1], name): place[-1] for name in nearest(place[-1], known, 1)}
        elif error["type"] == "missing" and place in misspelt:
            message = f"{MESSAGES['missing']} {quoted(misspelt[place])} is probably meant to be it."
        else:
            message = _message(error, place)
        field = ".".join(shortened(part, SHOWN) for part in place)
        explained.setdefault(field or "YAML", []).append(message)
    return explained


def with_example(field: str, messages: list[str]) -> list[str]:
    """Return the messages about a field, whatever found them, with an example where the field needs one."""
    example = EXAMPLES.get(_pattern(tuple(field.split("."))))
    return messages if example is None else [*messages, example]


def _message(error: Mapping[str, Any], place: tuple[str, ...]) -> str:
    kind, found = error["type"], error.get("input")
    if kind == "enum":
        expected = str(error["ctx"]["expected"])  # 'created', 'running' or ...
        return f"Must be {expected}, got {_shown(found)}.{suggestion(str(found), QUOTED.findall(expected))}"
    if kind == "string_type":
        return _not_text(found)
    if kind in MAPPING and place[0] == "sources" and place[-1] in FIELDS and not isinstance(found, list):
        return _not_text(found)
    if (wanted := _wanted(kind, place)) is not None:
        return f"Must be {wanted}, got {_shown(found)}."
    message: str = error["msg"]
    return MESSAGES.get(kind, message.removeprefix("Value error, "))


def _wanted(kind: str, place: tuple[str, ...]) -> str | None:
    """Return what the place holds, where something of another type was found; None for every other error."""
    if kind in NUMBER:
        return "a number, without quotes and without a unit"
    if kind in MAPPING:
        return f"a mapping such as {SHAPES.get(place[-2] if len(place) > 3 else '', '{name: value}')}"
    if kind in LIST and place[-2:-1] == ("cross",):
        return "a pair of dimensions, such as cross: [[country, device]]"
    if kind in LIST:
        return f"a list such as [{SHAPES.get(place[-1], 'a, b')}]"
    return None


def _not_text(found: object) -> str:
    if isinstance(found, bool):
        return "Must be text, and YAML reads on, off, yes, no, true and false as something else: write it in quotes."
    if isinstance(found, dict | list) or found is None:
        return f"Must be text, got {_shown(found)}."
    return f'Must be text: write "{found}", in quotes.'


def _shown(found: object) -> str:
    text = "nothing" if found is None else repr(found)
    return shortened(text, SHOWN)


def _allowed(known: Iterable[str]) -> str:
    names = ", ".join(sorted(known))
    return f" Known are {names}." if names else ""


def _pattern(place: tuple[str, ...]) -> str:
    """Return a place with `*` for the names of entries and for positions: every second part of it."""
    return ".".join("*" if position % 2 else part for position, part in enumerate(place))


def _field_names(part: type) -> list[str]:
    if is_dataclass(part):
        return list(field_names(part))
    return list(getattr(part, "model_fields", ()))
