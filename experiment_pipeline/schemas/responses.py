"""Answers of the HTTP API: experiments, metrics, and the envelope of payloads."""

from datetime import datetime
from typing import Annotated, Generic, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer

from experiment_pipeline.domain.audience_forms import audience_json
from experiment_pipeline.domain.definition_forms import AnyDefinition, Conditions, EventsForm, ShownAs
from experiment_pipeline.domain.definitions import definition_of
from experiment_pipeline.domain.design_warnings import design_warnings
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, MultipleExposures, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection, Metric
from experiment_pipeline.domain.phases import EndedPhase
from experiment_pipeline.domain.refresh import Payload
from experiment_pipeline.times import Duration, iso_utc

Moment = Annotated[datetime, PlainSerializer(iso_utc, when_used="json")]


class EnvironmentView(BaseModel):
    """An environment."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    name: str


class VariantView(BaseModel):
    """One arm."""

    model_config = ConfigDict(from_attributes=True)

    key: str | None
    role: VariantRole
    percentage_allocation: float | None


class AttachmentView(BaseModel):
    """A metric as an experiment uses it."""

    metric: int = Field(description="the metric's id")
    name: str
    aggregation: Aggregation | None = Field(description="as the metric has it")
    expected_direction: ExpectedDirection
    is_guardrail: bool
    margin: float | None = Field(description="of a guardrail: the share of control's mean by which it may be worse")
    added_after_start: bool = Field(description="a secondary metric that came with results in view (rule M22)")

    @classmethod
    def of(cls, attached: AttachedMetric) -> Self:
        """Return the view of an attached metric."""
        return cls(
            metric=attached.metric.id,
            name=attached.metric.name,
            aggregation=attached.metric.aggregation,
            expected_direction=attached.expected_direction,
            is_guardrail=attached.expected_direction.is_guardrail,
            margin=attached.margin,
            added_after_start=attached.added_after_start,
        )


class DesignView(BaseModel):
    """Design that was planned before the start."""

    model_config = ConfigDict(from_attributes=True)

    alpha: float
    power: float
    mde: float | None
    n_looks: int
    baseline: float | None
    standard_deviation: float | None


class PriorView(BaseModel):
    """A normal distribution of the lift on the primary metric, known before the start."""

    model_config = ConfigDict(from_attributes=True)

    mean: float
    standard_deviation: float


class DimensionView(BaseModel):
    """A trait of the first exposure by which results are broken down."""

    name: str
    trait: str


class AllocationView(BaseModel):
    """The share of one arm in a phase."""

    key: str | None
    percentage_allocation: float | None


class EndedPhaseView(BaseModel):
    """A phase that a restart has ended (rule X9)."""

    phase: int
    started_at: Moment
    ended_at: Moment
    variants: list[AllocationView]

    @classmethod
    def of(cls, phase: EndedPhase, experiment: Experiment) -> Self:
        """Return the view of one of an experiment's ended phases."""
        allocations = zip(experiment.variants, phase.percentage_allocations, strict=True)
        return cls(
            phase=phase.number,
            started_at=phase.started_at,
            ended_at=phase.ended_at,
            variants=[AllocationView(key=arm.key, percentage_allocation=share) for arm, share in allocations],
        )


class ExperimentView(BaseModel):
    """One experiment."""

    id: int
    key: str
    name: str
    hypothesis: str
    feature: str
    status: ExperimentStatus
    variants: list[VariantView]
    metrics: list[AttachmentView] = Field(description="the first one is the primary")
    multiple_exposures: MultipleExposures
    refresh_interval: Duration
    design: DesignView
    design_warnings: list[str] = Field(description="what is allowed in the design, and probably not meant")
    ignored_variants: list[str] = Field(description="variants that may have traffic outside the split (rule S2)")
    dimensions: list[DimensionView] = Field(description="that results are broken down by")
    cross: list[list[str]] = Field(description="pairs of dimensions that are also crossed")
    entry: Annotated[dict[str, JsonValue] | None, ShownAs(EventsForm | None)] = Field(
        description="the event that identities are analysed from"
    )
    only: Annotated[list[dict[str, JsonValue]], ShownAs(Conditions)] = Field(
        description="conditions on the first exposure"
    )
    exclude_identifiers: list[str] = Field(description="identities that are not analysed")
    post_stratify: str | None = Field(description="the dimension that the overall effect is also adjusted by")
    prior: PriorView | None = Field(description="what was known about the lift before the start; in no verdict")
    created_at: Moment | None
    updated_at: Moment | None
    started_at: Moment | None
    ended_at: Moment | None
    phase: int = Field(description="the newest one; status, variants, start and end are of this phase (rule X9)")
    ended_phases: list[EndedPhaseView] = Field(description="that restarts have ended, the first one first")

    @classmethod
    def of(cls, experiment: Experiment, floors: Floors) -> Self:
        """Return the view of an experiment, its design judged by the floors of this installation."""
        return cls(
            id=experiment.id,
            key=experiment.key,
            name=experiment.name,
            hypothesis=experiment.hypothesis,
            feature=experiment.feature,
            status=experiment.status,
            variants=[VariantView.model_validate(variant) for variant in experiment.variants],
            metrics=[AttachmentView.of(attached) for attached in experiment.metrics],
            multiple_exposures=experiment.multiple_exposures,
            refresh_interval=experiment.refresh_interval,
            design=DesignView.model_validate(experiment.design),
            design_warnings=design_warnings(experiment, floors),
            ignored_variants=list(experiment.ignored_variants),
            **audience_json(experiment.audience),
            post_stratify=experiment.post_stratify,
            prior=None if experiment.prior is None else PriorView.model_validate(experiment.prior),
            created_at=experiment.created_at,
            updated_at=experiment.updated_at,
            started_at=experiment.started_at,
            ended_at=experiment.ended_at,
            phase=experiment.phase,
            ended_phases=[EndedPhaseView.of(phase, experiment) for phase in experiment.ended_phases],
        )


class MetricView(BaseModel):
    """One metric. Version 2 has null for what stands beside a definition of version 1."""

    id: int
    name: str
    description: str
    aggregation: Aggregation | None = Field(description="of version 2 the closest one of version 1; null where none is")
    direction: Direction
    definition: Annotated[dict[str, JsonValue], ShownAs(AnyDefinition)] = Field(description="in its canonical form")
    window: Duration | None = Field(description="of version 1 alone")
    unit: str = Field(description="of its values, for people; empty where none is stated")

    @classmethod
    def of(cls, metric: Metric) -> Self:
        """Return the view of a metric."""
        return cls(
            id=metric.id,
            name=metric.name,
            description=metric.description,
            aggregation=metric.aggregation,
            direction=metric.direction,
            definition=definition_of(metric),
            window=metric.window if metric.version == 1 else None,
            unit=metric.unit,
        )


class ChangeView(BaseModel):
    """One change of an environment, experiment, metric or key, or one read of them.

    `before` and `after` are all of its fields at the time; null before a creation and after a deletion. Of a read,
    `after` has the path alone.
    """

    model_config = ConfigDict(from_attributes=True)

    at: Moment
    actor: str
    subject: str
    action: str
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None


class Envelope(BaseModel, Generic[Payload]):
    """A payload, how recent it is, and whether it is final."""

    model_config = ConfigDict(json_schema_extra={"description": __doc__})  # its parameterised classes have none

    as_of: Moment | None = Field(description="the end of the window that the payload covers")
    last_error_at: Moment | None = Field(
        description="set while the last refresh failed; the payload is the last good one"
    )
    refresh_requested_at: Moment | None
    payload: Payload | None
    is_final: bool
    phase: int = Field(description="of the experiment (rule X10)")
    data_version: int | None = Field(description="the newest batch that the payload has read (rule E6)")
    computed_at: Moment | None = Field(description="when the payload was published")
