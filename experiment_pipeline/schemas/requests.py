"""Bodies of HTTP requests, parsed strictly and turned into drafts.

Shape is checked here (types, unknown and missing fields); whether the rules allow it is for `domain/drafts` to say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from experiment_pipeline.domain.drafts import NOT_TEXT, AttachmentDraft, ExperimentDraft, MetricDraft, VariantDraft
from experiment_pipeline.domain.experiments import Design, MultipleExposures, VariantRole
from experiment_pipeline.domain.metrics import Aggregation, Direction, ExpectedDirection
from experiment_pipeline.times import format_duration, parse_duration

MESSAGES = {"missing": "This field is required.", "extra_forbidden": "Unknown field."}


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


def errors_by_field(errors: Iterable[Mapping[str, Any]], *, skip: int = 0) -> dict[str, list[str]]:
    """Pydantic's errors as messages by dotted field; `skip` drops leading parts such as `body`."""
    fields: dict[str, list[str]] = {}
    for error in errors:
        path = ".".join(str(part) for part in error["loc"][skip:]) or "body"
        message = MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, "))
        fields.setdefault(path, []).append(message)
    return fields


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
