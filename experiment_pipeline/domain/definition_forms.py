"""Forms of definitions of version 2: what stands in the JSON of each statistic, with the rules of single fields.

They are what requests and manifests hold (rules M6-M14). `domain/definitions` turns them into statistics and checks the
rules between their fields; OpenAPI and the JSON Schema of manifests show them.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, with_config
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import override

from experiment_pipeline.domain.definition_fields import (
    LIST_SCHEMA,
    ORDERED_SCHEMA,
    SCALAR_SCHEMA,
    TRUTH_SCHEMA,
    BoundNumber,
    ConditionField,
    MeasuredEvent,
    OfNonzero,
    Operand,
    SliceField,
    WindowStart,
    ordered,
    scalar,
    scalars,
    truth,
)
from experiment_pipeline.domain.fields import (
    STRICT,
    AttributionWindow,
    EventName,
    Number,
    adapter,
    between,
    rule,
)
from experiment_pipeline.domain.measures import Aggregation, Missing
from experiment_pipeline.domain.metrics import Maturity

MAX_CONDITIONS = 20
MAX_STEPS = 10


def _of_one_comparison(schema: dict[str, Any]) -> None:
    """Say in a condition's schema that it has a field and one comparison, whose operand is not null."""
    schema |= {"minProperties": 2, "maxProperties": 2}
    for operand in schema["properties"].values():
        operand.pop("default", None)


# An instance is taken as it is: its fields have other names than in JSON.
READ_ONCE = ConfigDict(extra="forbid", revalidate_instances="never", json_schema_extra=_of_one_comparison)


@with_config(READ_ONCE)
@dataclass(frozen=True, slots=True)
class ConditionForm:
    """A condition on one field of an event: `field` and one comparison."""

    field: Annotated[
        ConditionField, Field(description="value, traits.NAME or metadata.NAME", examples=["traits.country"])
    ]
    equals: Annotated[
        Any,
        Operand(scalar, SCALAR_SCHEMA),
        Field(alias="is", description="equals this text, number or truth"),
    ] = None
    within: Annotated[
        Any,
        Operand(scalars, LIST_SCHEMA),
        Field(alias="in", description="equals one of these"),
    ] = None
    not_in: Annotated[
        Any,
        Operand(scalars, LIST_SCHEMA),
        Field(description="is there and equals none of these"),
    ] = None
    at_least: Annotated[
        Any,
        Operand(ordered, ORDERED_SCHEMA),
        Field(description="is this number or text, or larger"),
    ] = None
    at_most: Annotated[
        Any,
        Operand(ordered, ORDERED_SCHEMA),
        Field(description="is this number or text, or smaller"),
    ] = None
    exists: Annotated[
        Any,
        Operand(truth, TRUTH_SCHEMA),
        Field(description="whether the field is there"),
    ] = None

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConditionForm) and repr(self) == repr(other)  # 1 is not true, as it is in Python

    @override
    def __hash__(self) -> int:
        return hash(repr(self))


Conditions = Annotated[
    tuple[ConditionForm, ...],
    rule(lambda conditions: len(conditions) <= MAX_CONDITIONS, f"Must not be more than {MAX_CONDITIONS} conditions."),
    Field(description="conditions that all have to hold"),
]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class WindowForm:
    """The part of time after the first exposure in which events count, half-open."""

    start: Annotated[WindowStart, Field(alias="from", description="after the first exposure")] = timedelta(0)
    end: Annotated[
        AttributionWindow | None, Field(alias="to", description="after the first exposure; no end when left out")
    ] = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class CapForm:
    """The largest value that counts: a number, or a percentile of all identities' values."""

    at: BoundNumber = None
    percentile: Annotated[
        Annotated[Number, between(50, 100, "Must lie between 50 and 100, such as percentile: 99.5.")] | None,
        Field(description="of the values of all identities"),
    ] = None
    of_nonzero: OfNonzero = False


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class FloorForm:
    """The smallest value that counts: a number, or a percentile of all identities' values."""

    at: BoundNumber = None
    percentile: Annotated[
        Annotated[Number, between(0, 50, "Must lie between 0 and 50, such as percentile: 0.5.")] | None,
        Field(description="of the values of all identities"),
    ] = None
    of_nonzero: OfNonzero = False


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class MeasureForm:
    """One number of each identity, made of its events."""

    event: Annotated[MeasuredEvent, Field(description="the name of the events that count")]
    aggregation: Annotated[Aggregation, Field(description="how the events of one identity become one number")]
    where: Conditions = ()
    window: WindowForm | None = None
    cap: Annotated[CapForm | None, Field(description="larger values count as this one")] = None
    floor: Annotated[FloorForm | None, Field(description="smaller values count as this one")] = None
    slice_by: Annotated[
        SliceField | None, Field(description="split it by a property of its events; of a mean only")
    ] = None
    missing: Annotated[
        Missing | None, Field(description="identities without a value: left_out, or counted as zero")
    ] = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class EventsForm:
    """Events of one name: a step of a funnel, or what counts as coming back."""

    event: Annotated[MeasuredEvent, Field(description="the name of the events that count")]
    where: Conditions = ()


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class EventValuesForm:
    """The values of single events, of which a quantile is taken."""

    event: Annotated[MeasuredEvent, Field(description="the name of the events that count")]
    where: Conditions = ()
    window: WindowForm | None = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class CovariateForm:
    """The same measure before the exposure, which makes the estimate more precise."""

    before: Annotated[AttributionWindow, Field(description="how long before the first exposure")]


Version = Literal[2]
MaturityField = Annotated[
    Maturity, Field(description="complete: only identities whose whole window has passed; needs `to` in every window")
]
Quantiles = Annotated[
    Number, between(0, 1, "Must lie between 0 and 1, such as q: 0.9."), Field(description="0.5 is the median")
]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class MeanForm:
    """The mean of a measure over identities."""

    version: Version
    statistic: Literal["mean"]
    measure: MeasureForm
    maturity: MaturityField = Maturity.ALL
    covariate: CovariateForm | None = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RatioForm:
    """The sum of one measure, divided by that of another one of the same identities."""

    version: Version
    statistic: Literal["ratio"]
    numerator: MeasureForm
    denominator: MeasureForm
    maturity: MaturityField = Maturity.ALL


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class QuantileForm:
    """The quantile of a measure over identities."""

    version: Version
    statistic: Literal["quantile"]
    q: Quantiles
    measure: MeasureForm
    unit: Literal["identity"] = "identity"
    maturity: MaturityField = Maturity.ALL


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class EventQuantileForm:
    """The quantile of the values of single events."""

    version: Version
    statistic: Literal["quantile"]
    q: Quantiles
    unit: Literal["event"]
    measure: EventValuesForm
    maturity: MaturityField = Maturity.ALL


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class RetentionForm:
    """The share of identities with an event in a window some time after their first exposure."""

    version: Version
    statistic: Literal["retention"]
    measure: EventsForm
    window: Annotated[WindowForm, Field(description="its `to` is required")]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class FunnelForm:
    """The share of identities that reach the last of several steps, in order."""

    version: Version
    statistic: Literal["funnel"]
    steps: Annotated[
        tuple[EventsForm, ...],
        rule(
            lambda steps: 2 <= len(steps) <= MAX_STEPS,
            f"Must be 2 to {MAX_STEPS} steps, such as [{{event: cart_viewed}}, {{event: purchased}}].",
        ),
        Field(description="in order, each another event"),
    ]
    within: Annotated[
        AttributionWindow | None, Field(description="how long after the first step's event later steps count")
    ] = None


Form: TypeAlias = MeanForm | RatioForm | QuantileForm | EventQuantileForm | RetentionForm | FunnelForm
FORMS: dict[str, Any] = {  # by statistic; a quantile with `unit: event` has EventQuantileForm
    "mean": MeanForm,
    "ratio": RatioForm,
    "quantile": QuantileForm,
    "retention": RetentionForm,
    "funnel": FunnelForm,
}


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Version1Form:
    """One event; how it becomes a number stands beside the definition."""

    version: Literal[1]
    event: Annotated[EventName, Field(description="the name of the events that count", min_length=1)]


AnyDefinition: TypeAlias = Version1Form | Form
EXAMPLES: list[dict[str, Any]] = [
    {"version": 1, "event": "purchased"},
    {
        "version": 2,
        "statistic": "mean",
        "measure": {
            "event": "purchased",
            "aggregation": "sum",
            "where": [{"field": "traits.country", "in": ["DE", "AT"]}],
            "window": {"to": "P7D"},
            "cap": {"percentile": 99.5},
        },
        "maturity": "complete",
        "covariate": {"before": "P14D"},
    },
    {
        "version": 2,
        "statistic": "ratio",
        "numerator": {"event": "purchased", "aggregation": "sum"},
        "denominator": {"event": "purchased", "aggregation": "count"},
    },
    {"version": 2, "statistic": "quantile", "q": 0.9, "measure": {"event": "page_loaded", "aggregation": "max"}},
    {"version": 2, "statistic": "quantile", "q": 0.9, "unit": "event", "measure": {"event": "page_loaded"}},
    {
        "version": 2,
        "statistic": "retention",
        "measure": {"event": "app_opened"},
        "window": {"from": "P7D", "to": "P8D"},
    },
    {
        "version": 2,
        "statistic": "funnel",
        "steps": [{"event": "cart_viewed"}, {"event": "address_entered"}, {"event": "purchased"}],
        "within": "P1D",
    },
]


@dataclass(frozen=True, slots=True)
class ShownAs:
    """A schema for a field whose own type says less: the field is not validated by it."""

    shape: Any

    def __get_pydantic_json_schema__(self, _own: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(adapter(self.shape).core_schema)
