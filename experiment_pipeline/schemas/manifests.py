"""Manifests: YAML files that declare environments, metrics and experiments, parsed strictly."""

from collections.abc import Hashable
from typing import Any

import yaml
from pydantic import (
    AwareDatetime,
    Field,
    ValidationError,
)

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.requests import Body, ExperimentBody, MetricBody, errors_by_field


class EnvironmentBody(Body):
    """An environment of a manifest."""

    name: str | None = Field(default=None, description="the key when left out")


class DeclaredMetric(MetricBody):
    """A metric of a manifest, where its name is the key of the entry."""

    name: str = ""
    environment: str = ""


class DeclaredExperiment(ExperimentBody):
    """An experiment of a manifest, where its key is the key of the entry; past ones bring their dates."""

    name: str = ""
    key: str | None = None
    environment: str = ""
    status: ExperimentStatus | None = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None


class Manifest(Body):
    """A YAML file that declares environments, metrics and experiments.

    An entry without an `environment` belongs to the only one that the file declares.
    """

    environments: dict[str, EnvironmentBody] = Field(min_length=1)
    metrics: dict[str, DeclaredMetric] = Field(default={})
    experiments: dict[str, DeclaredExperiment] = Field(default={})


def parse_manifest(text: str) -> Manifest:
    """A manifest from YAML. Raises ConfigurationError that names the line or the field."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as unreadable:
        mark = unreadable.problem_mark
        line = f"line {mark.line + 1}" if mark else "YAML"
        raise ConfigurationError.of(line, unreadable.problem or "unreadable") from None
    except (yaml.YAMLError, ValueError, RecursionError) as unreadable:
        raise ConfigurationError.of("YAML", str(unreadable).replace("\n", " ")) from None
    if not isinstance(content, dict):
        raise ConfigurationError.of("YAML", "Must be a mapping with environments, metrics and experiments.")
    try:
        return _completed(Manifest.model_validate(content))
    except ValidationError as invalid:
        raise ConfigurationError(errors_by_field(invalid.errors(include_url=False, include_input=False))) from None


def _completed(manifest: Manifest) -> Manifest:
    """Names, keys and environments that the entries leave to their place in the file."""
    only = next(iter(manifest.environments)) if len(manifest.environments) == 1 else ""
    problems = {
        f"{noun}.{key}.environment": ["This field is required: the file declares several environments."]
        for noun, entries in (("metrics", manifest.metrics), ("experiments", manifest.experiments))
        for key, entry in entries.items()
        if not (entry.environment or only)
    } | {
        f"experiments.{key}.key": ["Must be left out: the entry's own name is the key."]
        for key, entry in manifest.experiments.items()
        if entry.key not in (None, key)
    }
    if problems:
        raise ConfigurationError(problems)
    metrics = {
        key: entry.model_copy(update={"name": entry.name or key, "environment": entry.environment or only})
        for key, entry in manifest.metrics.items()
    }
    experiments = {
        key: entry.model_copy(update={"key": key, "name": entry.name or key, "environment": entry.environment or only})
        for key, entry in manifest.experiments.items()
    }
    return manifest.model_copy(update={"metrics": metrics, "experiments": experiments})


class _StrictLoader(yaml.SafeLoader):
    """Refuses a mapping that has one key twice, where YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands here twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
