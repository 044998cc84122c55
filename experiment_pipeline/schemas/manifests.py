"""Manifests: YAML files that declare environments, sources, metrics, experiments, notifications, parsed strictly."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, with_config

from experiment_pipeline.domain.audience import Dimension
from experiment_pipeline.domain.definition_forms import ConditionForm, EventsForm
from experiment_pipeline.domain.drafts import (
    AttachmentDraft,
    ExperimentDraft,
    MetricDraft,
    VariantDraft,
    to_metric_draft,
)
from experiment_pipeline.domain.experiments import Design, ExperimentStatus, Prior
from experiment_pipeline.domain.fields import STRICT, Moment
from experiment_pipeline.domain.metrics import Direction, Metric
from experiment_pipeline.domain.notification_targets import TargetDraft, with_paths
from experiment_pipeline.domain.row_mapping import FIELDS, FieldSource, RowMapping
from experiment_pipeline.domain.sources import READ_ONCE, ConnectionDraft, Cursor, SourceDraft, in_folder
from experiment_pipeline.domain.texts import suggestion
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.manifest_messages import explain
from experiment_pipeline.schemas.requests import Body
from experiment_pipeline.times import Duration, format_duration


class EnvironmentBody(Body):
    """An environment of a manifest."""

    name: str | None = Field(default=None, description="the key when left out")
    warehouse: str | None = Field(
        default=None,
        description="one of `connections`: its events lie there, and are analysed there; or `duckdb`, the engine over "
        "the lake; left out, as it was, at first EXPERIMENT_PIPELINE_WAREHOUSE",
    )
    keep: Literal["forever"] | Duration | None = Field(
        default=None,
        description="how long its events are kept, by their time, P31D at least, or `forever`; left out, as it was, at "
        "first `forever`",
        examples=["P400D"],
    )


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class DeclaredMetric(MetricDraft):
    """A metric of a manifest, where its name is the key of the entry."""

    environment: str = ""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class DeclaredExperiment(ExperimentDraft):
    """An experiment of a manifest, where its key is the key of the entry; past ones bring their dates."""

    environment: str = ""
    status: ExperimentStatus | None = None
    started_at: Moment | None = None
    ended_at: Moment | None = None


@with_config(READ_ONCE)
@dataclass(frozen=True, slots=True)
class DeclaredSource(SourceDraft):
    """A source of a manifest, where its name is the key of the entry."""

    environment: str = ""


class Manifest(Body):
    """A YAML file that declares environments, connections and sources, metrics, experiments and notifications.

    An entry without an `environment` belongs to the only one that the file declares, or to the only one that there is.
    """

    environments: dict[str, EnvironmentBody] = Field(default={})
    connections: dict[str, ConnectionDraft] = Field(default={})
    sources: dict[str, DeclaredSource] = Field(default={})
    metrics: dict[str, DeclaredMetric] = Field(default={})
    experiments: dict[str, DeclaredExperiment] = Field(default={})
    notifications: dict[str, TargetDraft] = Field(default={})


TAB = "found character '\\t' that cannot start any token"  # in the words of the YAML library
NOUNS = tuple(Manifest.model_fields)
OPERANDS = ("is", "in", "not_in")  # of conditions: a text, a number or a truth
PARTS: dict[str, type] = {
    "": Manifest,
    "environments.*": EnvironmentBody,
    "connections.*": ConnectionDraft,
    "sources.*": DeclaredSource,
    "sources.*.as.*": RowMapping,
    **{f"sources.*.as.*.{field}": FieldSource for field in FIELDS},
    "sources.*.cursor": Cursor,
    "metrics.*": DeclaredMetric,
    "experiments.*": DeclaredExperiment,
    "experiments.*.variants.*": VariantDraft,
    "experiments.*.metrics.*": AttachmentDraft,
    "experiments.*.design": Design,
    "experiments.*.dimensions.*": Dimension,
    "experiments.*.prior": Prior,
    "experiments.*.entry": EventsForm,
    "experiments.*.only.*": ConditionForm,
    "notifications.*": TargetDraft,
}


def parse_manifest(text: str, *, folder: Path = Path(), only: Collection[str] = ()) -> Manifest:
    """Return the manifest of a YAML text.

    Args:
        text: the YAML.
        folder: where paths of files begin that do not begin at the root; the working directory by default.
        only: the entries to keep, such as `experiments.checkout`, or `metrics` for all of them; none for everything.
            The others may be wrong.

    Raises:
        ConfigurationError: names the line or the field
    """
    return manifest_of(load_content(text), folder=folder, only=only)


def manifest_of(content: dict[Any, Any], *, folder: Path = Path(), only: Collection[str] = ()) -> Manifest:
    """Return the manifest of content that is not validated yet; see `parse_manifest`."""
    declared = content.get("environments")
    environments = list(declared) if isinstance(declared, dict) else []
    try:
        manifest = Manifest.model_validate(_completed(_chosen(content, only), environments))
    except ValidationError as invalid:
        raise ConfigurationError(_as_written(explain(invalid.errors(include_url=False), PARTS), content)) from None
    return _with_paths(manifest, folder)


def _as_written(errors: dict[str, list[str]], content: dict[Any, Any]) -> dict[str, list[str]]:
    """Return errors with the field `as` as it is written where a source has one mapping, which is read as a list."""
    written = {}
    for field, messages in errors.items():
        match field.split("."):
            case ["sources", key, "as", "0", *below] if not isinstance(content["sources"][key].get("as"), list):
                written[".".join(["sources", key, "as", *below])] = messages
            case _:
                written[field] = messages
    return written


def _with_paths(manifest: Manifest, folder: Path) -> Manifest:
    """Return a manifest whose paths begin at the root."""
    sources = {
        key: entry if entry.files is None else replace(entry, files=in_folder(entry.files, folder))
        for key, entry in manifest.sources.items()
    }
    connections = {
        key: entry if entry.url is None else replace(entry, url=in_folder(entry.url, folder))
        for key, entry in manifest.connections.items()
    }
    notifications = {key: with_paths(entry, folder) for key, entry in manifest.notifications.items()}
    return manifest.model_copy(update={"sources": sources, "connections": connections, "notifications": notifications})


def metric_entry(metric: Metric) -> dict[str, Any]:
    """Return the entry that declares a metric again, JSON-ready, without what it may leave out."""
    draft = to_metric_draft(metric)
    entry = {
        "environment": metric.environment_key,
        "description": draft.description,
        "direction": None if draft.direction is Direction.UP else draft.direction.value,
        "unit": draft.unit,
        "aggregation": None if draft.aggregation is None else draft.aggregation.value,
        "definition": draft.definition,
        "window": None if draft.window is None else format_duration(draft.window),
    }
    return {name: value for name, value in entry.items() if value not in (None, "")}


def load_content(text: str) -> dict[Any, Any]:
    """Return the content of a manifest's YAML, not validated yet.

    Raises:
        ConfigurationError: names the line that is no YAML.
    """
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as unreadable:
        mark = unreadable.problem_mark
        line = f"line {mark.line + 1}" if mark else "YAML"
        raise ConfigurationError.of(line, _problem(unreadable)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as unreadable:
        raise ConfigurationError.of("YAML", str(unreadable).replace("\n", " ")) from None
    if not isinstance(content, dict):
        raise ConfigurationError.of("YAML", f"Must be a mapping with {', '.join(NOUNS[:-1])} and {NOUNS[-1]}.")
    return content


def _problem(unreadable: yaml.MarkedYAMLError) -> str:
    problem = unreadable.problem or "unreadable"
    return "A tab stands where YAML wants spaces." if problem == TAB else problem


def _chosen(content: dict[Any, Any], only: Collection[str]) -> dict[Any, Any]:
    """Return the content with the chosen entries alone.

    Raises:
        ConfigurationError: the file has no such entry.
    """
    if not only:
        return content
    entries = {noun: content[noun] for noun in NOUNS if isinstance(content.get(noun), dict)}
    known = [f"{noun}.{key}" for noun, found in entries.items() for key in found]
    for name in only:
        if name not in known and name not in entries:
            raise ConfigurationError.of("--only", f"The file has no '{name}'.{suggestion(name, known)}")
    kept = {
        noun: {key: entry for key, entry in found.items() if noun in only or f"{noun}.{key}" in only}
        for noun, found in entries.items()
    }
    return {**content, **kept}


def _completed(content: dict[Any, Any], environments: list[Any]) -> dict[Any, Any]:
    """Return the content with what its entries leave to their place in the file: names, keys and environments.

    Raises:
        ConfigurationError: an entry leaves out what its place does not say, or states what its place says
    """
    errors: dict[str, list[str]] = {}
    completed = {noun: entries for noun, entries in content.items() if noun not in NOUNS or entries is not None}
    declared = completed.get("environments")
    if isinstance(declared, dict):
        completed["environments"] = {key: {} if entry is None else entry for key, entry in declared.items()}
    for noun in ("sources", "metrics", "experiments"):
        entries = content.get(noun)
        if not isinstance(entries, dict):
            continue
        completed[noun] = {
            key: _completed_entry(errors, noun, key, entry, environments) for key, entry in entries.items()
        }
    if errors:
        raise ConfigurationError(errors)
    return completed


def _completed_entry(errors: dict[str, list[str]], noun: str, key: Any, entry: Any, environments: list[Any]) -> Any:
    if not isinstance(entry, dict):
        return entry  # for the manifest's own validation to refuse
    if len(environments) > 1 and not entry.get("environment"):
        several = ", ".join(str(each) for each in environments)
        message = f"This field is required: the file declares several environments. Name one of {several}."
        errors[f"{noun}.{key}.environment"] = [message]
    placed = {"environment": environments[0] if environments else ""}
    if noun != "sources":
        placed["name"] = key
    if noun == "experiments":
        if entry.get("key") not in (None, key):
            errors[f"{noun}.{key}.key"] = ["Must be left out: the entry's own name is the key."]
        placed["key"] = key
    return {**entry, **{name: place for name, place in placed.items() if entry.get(name) in (None, "")}}


def _refuse_words_of_truth(node: yaml.Node) -> None:
    """Refuse `NO` and its like where a text may be meant: YAML reads them as false or true."""
    for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        word = each.value
        if each.tag == "tag:yaml.org,2002:bool" and word.lower() not in ("true", "false"):
            truth = "true" if word.lower() in ("yes", "on") else "false"
            message = f"YAML reads {word} as {truth}: write '{word}' in quotes, or {truth}."
            raise yaml.constructor.ConstructorError(None, None, message, each.start_mark)


class _StrictLoader(yaml.SafeLoader):
    """A loader that refuses a mapping with a duplicate key, where YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key '{key.value}'", key.start_mark)
            seen.add(key.value)
        for key, value in node.value:
            if key.value in OPERANDS:
                _refuse_words_of_truth(value)
        return super().construct_mapping(node, deep)
