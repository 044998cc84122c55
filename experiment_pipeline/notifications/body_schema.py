"""Bodies of webhooks: one message, whose facts depend on its type. docs/notification.schema.json is their schema.

A member may be added; none is removed or changes its meaning.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.results.decision import Action
from experiment_pipeline.schemas.responses import Moment

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NotifiedExperiment(_Part):
    """The experiment, as it was called when the message was written."""

    id: int
    key: str
    name: str = Field(description="as somebody wrote it: show it as text, never as markup")
    phase: int = Field(description="1, and one more after each restart")


class PreviousDecision(_Part):
    """The decision before."""

    action: Action
    treatment: str | None


class DecisionFacts(_Part):
    """A decision that is another than at the look before."""

    as_of: Moment
    action: Action
    treatment: str | None = Field(description="the one to ship; null for none")
    rule: str = Field(description="the rule that fired; docs/statistics.md has them")
    why: str = Field(description="one sentence; it may hold names of metrics and treatments")
    previous: PreviousDecision | None = Field(description="null where this is the first")


class SplitFacts(_Part):
    """Identities split otherwise than configured (rules S1 to S3)."""

    as_of: Moment
    identities: dict[str, int] | None = Field(description="by variant")
    expected_shares: dict[str, float] | None = Field(description="by variant")
    anytime_p_value: float | None
    reason: str | None = Field(description="why the split is wrong whatever its test says; null where the test says it")


class HarmedGuardrail(_Part):
    """A guardrail that a treatment is shown to harm."""

    metric_id: int
    metric: str
    treatment: str


class GuardrailFacts(_Part):
    """Guardrails that were not harmed at the look before."""

    as_of: Moment
    harmed: list[HarmedGuardrail]


class RefreshFacts(_Part):
    """Refreshes that fail in a row; told once until one works."""

    failures: int
    computation: Computation
    last_error_at: Moment
    last_published_at: Moment | None = Field(description="of the results that are still shown; null for none")


class LateFacts(_Part):
    """Data that came late, or stopped coming."""

    reason: Literal["no_new_events", "events_land_late", "late_events"] = Field(
        description="none arrived for longer than EXPERIMENT_PIPELINE_HEALTH_EVENT_AGE; many land long after they "
        "happened; some arrived after the results were final"
    )
    as_of: Moment | None = None
    newest_landed_at: dict[str, Moment] | None = Field(
        default=None, description="of `no_new_events`: when the newest arrived, by where they come from"
    )
    detail: str | None = Field(default=None, description="of the others: the health finding in words")


class FinalDecision(_Part):
    """The last decision."""

    action: Action
    treatment: str | None
    why: str


class FinalFacts(_Part):
    """Results that never change again (rule R6)."""

    as_of: Moment
    trustworthy: bool | None = Field(description="whether the split is as configured; null where it was not tested")
    decision: FinalDecision | None


class NoFacts(_Part):
    """Nothing: of a test."""


class _Data(_Part):
    environment: str
    experiment: NotifiedExperiment
    title: str = Field(description="one line of plain text, without markup and without control characters")
    text: str = Field(description="a few lines of the same; names in it are cut, and < > @ and such are replaced")
    url: str | None = Field(description="the results page; null where EXPERIMENT_PIPELINE_PUBLIC_URL is not set")


class DecisionData(_Data):
    """A decision was reached, or is withdrawn."""

    facts: DecisionFacts


class SplitData(_Data):
    """The split of traffic is broken."""

    facts: SplitFacts


class GuardrailData(_Data):
    """A guardrail is harmed."""

    facts: GuardrailFacts


class RefreshData(_Data):
    """Refreshes fail."""

    facts: RefreshFacts


class LateData(_Data):
    """Data is late."""

    facts: LateFacts


class FinalData(_Data):
    """The results are final."""

    facts: FinalFacts


class TargetTestData(_Part):
    """Sent by `experiment-pipeline notifications test`."""

    environment: None
    experiment: None
    title: str
    text: str
    url: None
    facts: NoFacts


class _Message(_Part):
    id: str = Field(pattern="^msg_[0-9a-f]{32}$", description="the same in every attempt; equal to `webhook-id`")
    timestamp: Moment = Field(description="when it was written, whenever it is sent")


class DecisionReached(_Message):
    """The decision on an experiment is another than before."""

    type: Literal["decision_reached"]
    data: DecisionData


class SplitBroken(_Message):
    """The split of an experiment's traffic is not as configured."""

    type: Literal["split_broken"]
    data: SplitData


class GuardrailHarmed(_Message):
    """A guardrail is shown to be harmed."""

    type: Literal["guardrail_harmed"]
    data: GuardrailData


class RefreshFailing(_Message):
    """Refreshes of an experiment fail in a row."""

    type: Literal["refresh_failing"]
    data: RefreshData


class DataLate(_Message):
    """Events of an experiment are late."""

    type: Literal["data_late"]
    data: LateData


class ExperimentFinal(_Message):
    """The results of an experiment are final."""

    type: Literal["experiment_final"]
    data: FinalData


class TargetTest(_Message):
    """A test of a target."""

    type: Literal["test"]
    data: TargetTestData


Message = Annotated[
    DecisionReached | SplitBroken | GuardrailHarmed | RefreshFailing | DataLate | ExperimentFinal | TargetTest,
    Field(discriminator="type"),
]


def notification_schema() -> dict[str, Any]:
    """Return the JSON Schema of the body of a webhook, JSON-ready."""
    schema = TypeAdapter(Message).json_schema()
    return {"$schema": DIALECT, "title": "Body of a webhook of experiment-pipeline", **schema}
