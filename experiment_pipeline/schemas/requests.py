"""Bodies of HTTP requests that are not drafts themselves: fields to change, with those left out staying as they are."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from experiment_pipeline.domain.audience_forms import Crossed, Dimensions, Entry, Excluded, Only, Stratified
from experiment_pipeline.domain.definition_rules import version_of
from experiment_pipeline.domain.drafts import (
    AttachmentDraft,
    Definition,
    ExperimentDraft,
    MetricDraft,
    VariantDraft,
    Version1Aggregation,
)
from experiment_pipeline.domain.experiments import DeclaredPrior, Design, MultipleExposures
from experiment_pipeline.domain.fields import (
    AttributionWindow,
    ExperimentKey,
    Feature,
    IgnoredVariants,
    Margin,
    Name,
    RefreshInterval,
    Text,
    Unit,
)
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection

MAX_PHASE = 2**31 - 1


class Body(BaseModel):
    """A part of a request or a manifest. Unknown fields are refused: a misspelt one must not pass for a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _left_out() -> Any:
    """Return a field that may be left out; null is not a value for it, and the schema shows no default."""

    def hide_default(schema: dict[str, Any]) -> None:
        schema.pop("default", None)

    return Field(default=None, json_schema_extra=hide_default)


class AttachmentPatch(Body):
    """Fields of an attached metric to change; those left out stay, and a margin of null is taken away."""

    expected_direction: ExpectedDirection = _left_out()
    margin: Margin | None = _left_out()

    def revise(self, draft: AttachmentDraft) -> AttachmentDraft:
        """Return the draft with the fields that were sent."""
        return replace(draft, **_sent(self))


class ExperimentPatch(Body):
    """Fields of an experiment to change; those left out stay."""

    name: Name = _left_out()
    hypothesis: Text = _left_out()
    feature: Feature = _left_out()
    variants: tuple[VariantDraft, ...] = _left_out()
    key: ExperimentKey = _left_out()
    metrics: tuple[AttachmentDraft, ...] = _left_out()
    multiple_exposures: MultipleExposures = _left_out()
    refresh_interval: RefreshInterval = _left_out()
    design: Design = _left_out()
    ignored_variants: IgnoredVariants = _left_out()
    dimensions: Dimensions = _left_out()
    cross: Crossed = _left_out()
    entry: Entry = _left_out()
    only: Only = _left_out()
    exclude_identifiers: Excluded = _left_out()
    post_stratify: Stratified = _left_out()
    prior: DeclaredPrior = _left_out()

    def revise(self, draft: ExperimentDraft) -> ExperimentDraft:
        """Return the draft with the fields that were sent."""
        return replace(draft, **_sent(self))


class Restart(Body):
    """The next phase of an experiment (rule X9); what is left out stays as it is."""

    variants: tuple[VariantDraft, ...] | None = Field(
        default=None, description="with the allocations of the next phase; keys and roles stay"
    )
    phase: Annotated[
        int | None,
        Field(ge=1, le=MAX_PHASE, description="the phase that is to end: 409 where another one is the present phase"),
    ] = None


class MetricPatch(Body):
    """Fields of a metric to change; those left out stay."""

    name: Name = _left_out()
    definition: Definition = _left_out()
    aggregation: Version1Aggregation | None = _left_out()
    direction: Direction = _left_out()
    description: Text = _left_out()
    window: AttributionWindow | None = _left_out()
    unit: Unit = _left_out()

    def revise(self, draft: MetricDraft) -> MetricDraft:
        """Return the draft with the fields that were sent.

        A definition of another version takes the place of what only the former one has beside it.
        """
        sent = _sent(self)
        former, wanted = version_of(draft.definition), version_of(sent.get("definition", draft.definition))
        if wanted != former:
            sent = {**({"aggregation": None, "window": None} if wanted == 2 else {"unit": ""}), **sent}
        return replace(draft, **sent)


def _sent(patch: Body) -> dict[str, Any]:
    return {name: getattr(patch, name) for name in patch.model_fields_set}
