"""The JSON Schema of manifests: what editors check and complete, and what docs/manifest.md lists.

It comes from the classes that parse a manifest. Their rules, which JSON Schema cannot state, stand in the descriptions
of the fields in their own words; `apply` checks them.
"""

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import AfterValidator

from experiment_pipeline.domain import definition_forms
from experiment_pipeline.domain.fields import Rule, adapter
from experiment_pipeline.schemas.manifests import NOUNS, PARTS, Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OF_THE_PLACE = {  # fields that an entry may leave out, since its place in the file says them
    "name": "the entry's own name when left out",
    "key": "to be left out: the entry's own name is the key",
    "environment": "the only environment of the file, or the only one that there is, when left out",
}
LATER = {  # of an experiment's life
    "status": "brings the experiment to this status; stays as it is when left out",
    "started_at": "when it began, for one of the past; the moment of `apply` when left out; of a restarted one phase 1",
    "ended_at": "when it ended, for a completed one of the past; the moment of `apply` when left out",
}
ENTRIES = tuple(PARTS[f"{noun}.*"] for noun in ("sources", "metrics", "experiments"))
OF_EVERY_TEXT = {  # rules that no editor has to mention
    "Must not hold control characters.",
    "Must not hold null characters or half of a surrogate pair.",
}


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema of a manifest, JSON-ready."""
    schema = Manifest.model_json_schema()
    for name, part in schema["$defs"].items():
        _without_titles(part)
        _describe(part, _class_of(name))
    for entry in ENTRIES:
        _loosen_entry(schema["$defs"][entry.__name__])
    _without_titles(schema)
    for noun in NOUNS:
        section = schema["properties"][noun]
        if noun == "environments":
            section["additionalProperties"] = _or_nothing(section["additionalProperties"])
        schema["properties"][noun] = _or_nothing({name: value for name, value in section.items() if name != "default"})
    return {"$schema": DIALECT, "title": "Manifest of experiment-pipeline", **schema}


def rules_of(annotation: Any) -> Iterator[str]:
    """Yield the messages of the rules that a field's type states, the innermost first."""
    if get_origin(annotation) is Annotated:
        inner, *validators = get_args(annotation)
        yield from rules_of(inner)
        for each in validators:
            if isinstance(each, AfterValidator) and isinstance(each.func, Rule):
                yield each.func.message
    else:
        for inner in get_args(annotation):
            yield from rules_of(inner)


def _class_of(name: str) -> type | None:
    """Return the class that a part of the schema is named for; None for an enumeration."""
    by_name = {each.__name__: each for each in PARTS.values()}
    form = getattr(definition_forms, name, None)
    return by_name.get(name) or (form if isinstance(form, type) and is_dataclass(form) else None)


def _rules_by_field(of: type) -> dict[str, list[str]]:
    """Return the messages of the rules of every field, by the name that the field has in a file."""
    hints = get_type_hints(of, include_extras=True)
    names = dict(zip(hints, adapter(of).json_schema()["properties"], strict=True))
    return {names[field]: list(rules_of(hint)) for field, hint in hints.items()}


def _describe(part: dict[str, Any], of: type | None) -> None:
    """Add to every field's description the rules that it states, and what its place says."""
    rules_by_field = _rules_by_field(of) if of else {}
    for name, field in part.get("properties", {}).items():
        said = [field["description"]] if "description" in field else []
        if of in ENTRIES:
            said = [OF_THE_PLACE[name]] if name in OF_THE_PLACE else [LATER[name]] if name in LATER else said
        rules = [message for message in dict.fromkeys(rules_by_field.get(name, ())) if message not in OF_EVERY_TEXT]
        if said or rules:
            field["description"] = " ".join([*(f"{text}." for text in said), *rules])


def _loosen_entry(entry: dict[str, Any]) -> None:
    """Let an entry leave out what its place says; nothing stands there as well as no line at all."""
    entry["required"] = [name for name in entry["required"] if name not in OF_THE_PLACE]
    for name in OF_THE_PLACE.keys() & entry["properties"].keys():
        field = entry["properties"][name]
        field.pop("default", None)
        if "anyOf" not in field:
            entry["properties"][name] = _or_nothing(field)


def _or_nothing(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that may also be left empty, as in `production:`."""
    description = {"description": schema["description"]} if "description" in schema else {}
    value = {name: given for name, given in schema.items() if name != "description"}
    return {"anyOf": [value, {"type": "null"}], **description}


def _without_titles(part: dict[str, Any]) -> None:
    """Drop the titles that repeat a field's name: editors would show them in place of it."""
    part.pop("title", None)
    for field in part.get("properties", {}).values():
        field.pop("title", None)
