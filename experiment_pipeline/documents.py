"""What people write: bodies of the HTTP API and YAML files, parsed strictly and turned into drafts.

Shape is checked here (types, unknown and missing fields); whether the rules allow it is for `declarations` to say.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

import yaml
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)

from experiment_pipeline.declarations import NOT_TEXT, AttachmentDraft, ExperimentDraft, MetricDraft, VariantDraft
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.experiments import (
    Aggregation,
    Design,
    Direction,
    ExpectedDirection,
    ExperimentStatus,
    MultipleExposures,
    VariantRole,
)

ISO_DURATION = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?", re.ASCII)
MESSAGES = {"missing": "This field is required.", "extra_forbidden": "Unknown field."}


def parse_duration(value: object) -> timedelta:
    """Whole seconds, or ISO-8601 in days, hours, minutes and seconds."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return timedelta(seconds=value)
    found = ISO_DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        raise ValueError("Must be whole seconds or an ISO-8601 duration such as PT1H.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """ISO-8601, e.g. `PT1H30M`."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    date = f"{duration.days}D" if duration.days else ""
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"


def _metric_reference(value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("Must be a metric's id or its name.")  # noqa: TRY004 - pydantic reports ValueErrors
    if isinstance(value, str) and NOT_TEXT.search(value):
        raise ValueError("Must not hold null characters or half of a surrogate pair.")
    return value


Duration = Annotated[
    timedelta,
    PlainValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string", "format": "duration"}], "examples": ["PT1H", 3600]},
        mode="validation",
    ),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT1H"]}, mode="serialization"),
]
MetricReference = Annotated[
    int | str,
    PlainValidator(_metric_reference),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "a metric's id or its name"}),
]
Definition = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "required": ["version", "event"],
            "properties": {"version": {"const": 1}, "event": {"type": "string", "minLength": 1}},
            "additionalProperties": False,
        }
    ),
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Body(BaseModel):
    """A part of a document. Unknown fields are refused: a misspelt one must not pass for a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _left_out() -> Any:
    """A field of a patch that may be left out; null is no value for it, and the schema shows no default."""

    def hide_default(schema: dict[str, Any]) -> None:
        schema.pop("default", None)

    return Field(default=None, json_schema_extra=hide_default)


class VariantBody(Body):
    """One arm; `control` may be left out and takes what the others leave."""

    key: str | None = None
    percentage_allocation: Number | None = Field(default=None, description="percent of the traffic, 0 to 100")
    role: VariantRole | None = None

    def draft(self) -> VariantDraft:
        return VariantDraft(key=self.key, percentage_allocation=self.percentage_allocation, role=self.role)


class AttachmentBody(Body):
    """A metric as an experiment uses it; the first one is the primary."""

    metric: MetricReference
    expected_direction: ExpectedDirection

    def draft(self) -> AttachmentDraft:
        return AttachmentDraft(metric=self.metric, expected_direction=self.expected_direction)


class AttachmentPatch(Body):
    """What else to expect of an attached metric."""

    expected_direction: ExpectedDirection


class DesignBody(Body):
    """What was planned before the start."""

    alpha: Number = 0.05
    power: Number = 0.8
    mde: Number | None = Field(default=None, description="relative lift to detect")
    n_looks: Annotated[int, Field(strict=True, description="planned looks")] = 1
    baseline: Number | None = Field(default=None, description="control's mean")

    def draft(self) -> Design:
        return Design(**self.model_dump())


class ExperimentBody(Body):
    """An experiment to declare."""

    name: str
    hypothesis: str
    feature: str = Field(description="the flag that splits the traffic; never changes")
    variants: tuple[VariantBody, ...]
    key: str | None = Field(default=None, description="made from the name when left out; never changes")
    metrics: tuple[AttachmentBody, ...] = ()
    multiple_exposures: MultipleExposures = MultipleExposures.EXCLUDE
    refresh_interval: Duration = timedelta(hours=1)
    design: DesignBody = DesignBody()

    def draft(self) -> ExperimentDraft:
        return ExperimentDraft(**_drafted(self, ExperimentBody.model_fields))


class ExperimentPatch(Body):
    """Fields of an experiment to change; those left out stay."""

    name: str = _left_out()
    hypothesis: str = _left_out()
    feature: str = _left_out()
    variants: tuple[VariantBody, ...] = _left_out()
    key: str = _left_out()
    metrics: tuple[AttachmentBody, ...] = _left_out()
    multiple_exposures: MultipleExposures = _left_out()
    refresh_interval: Duration = _left_out()
    design: DesignBody = _left_out()

    def revise(self, draft: ExperimentDraft) -> ExperimentDraft:
        return replace(draft, **_drafted(self, self.model_fields_set))


class MetricBody(Body):
    """A metric to declare."""

    name: str
    aggregation: Aggregation
    definition: Definition
    direction: Direction = Direction.UP
    description: str = ""
    window: Duration | None = Field(default=None, description="how long after its first exposure an identity counts")

    def draft(self) -> MetricDraft:
        return MetricDraft(**_drafted(self, MetricBody.model_fields))


class MetricPatch(Body):
    """Fields of a metric to change; those left out stay."""

    name: str = _left_out()
    aggregation: Aggregation = _left_out()
    definition: Definition = _left_out()
    direction: Direction = _left_out()
    description: str = _left_out()
    window: Duration | None = _left_out()

    def revise(self, draft: MetricDraft) -> MetricDraft:
        return replace(draft, **_drafted(self, self.model_fields_set))


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
    metrics: dict[str, DeclaredMetric] = {}
    experiments: dict[str, DeclaredExperiment] = {}


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


def errors_by_field(errors: Iterable[Mapping[str, Any]], *, skip: int = 0) -> dict[str, list[str]]:
    """Pydantic's errors as messages by dotted field; `skip` drops leading parts such as `body`."""
    fields: dict[str, list[str]] = {}
    for error in errors:
        path = ".".join(str(part) for part in error["loc"][skip:]) or "body"
        message = MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, "))
        fields.setdefault(path, []).append(message)
    return fields


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


def _drafted(body: Body, names: Iterable[str]) -> dict[str, Any]:
    """The named fields in the domain's words."""
    return {name: _in_domain(getattr(body, name)) for name in names}


def _in_domain(value: Any) -> Any:
    match value:
        case tuple():
            return tuple(_in_domain(item) for item in value)
        case VariantBody() | AttachmentBody() | DesignBody():
            return value.draft()
        case _:
            return value


class _StrictLoader(yaml.SafeLoader):
    """Refuses a mapping that has one key twice, where YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands here twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
