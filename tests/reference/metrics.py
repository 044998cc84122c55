"""What a metric is: rules M1 and M6-M14. Nouns alone; what they mean is said where they are used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Scalar = str | int | float | bool
Operator = Literal["is", "in", "not_in", "at_least", "at_most", "exists"]
Aggregation = str  # a key of AGGREGATIONS
Direction = Literal["up", "down", "informational"]
Expected = Literal["increase", "decrease", "not_increase", "not_decrease"]


@dataclass(frozen=True)
class Condition:
    """Rule M7: `field` is `value`, `traits.<path>` or `metadata.<path>`; `in` and `not_in` have several operands."""

    field: str
    operator: Operator
    operand: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class Events:
    """Rules M7 and M8: events of one name that meet all conditions, in a window after the first exposure."""

    name: str
    where: tuple[Condition, ...] = ()
    start: timedelta = timedelta(0)
    end: timedelta | None = None


@dataclass(frozen=True)
class Bound:
    """Rule M10: a number, or a percentile of all values or of those that are not 0."""

    at: float | None = None
    percentile: float | None = None
    of_nonzero: bool = False


@dataclass(frozen=True)
class Measure:
    """Rule M6; `zero_if_missing` is `missing: zero`."""

    events: Events
    aggregation: Aggregation
    zero_if_missing: bool = False
    cap: Bound | None = None
    floor: Bound | None = None
    slice_by: str | None = None


@dataclass(frozen=True)
class Mean:
    """The mean of a measure; `before` is the length of the pre-period of rule M11."""

    measure: Measure
    before: timedelta | None = None


@dataclass(frozen=True)
class Ratio:
    """Rule M9."""

    numerator: Measure
    denominator: Measure


@dataclass(frozen=True)
class Quantile:
    """Rule M12: of a measure of identities, or of the values of single events."""

    q: float
    of: Measure | Events


@dataclass(frozen=True)
class Retention:
    """Rule M13: an occurrence in a window."""

    measure: Measure


@dataclass(frozen=True)
class Funnel:
    """Rule M14."""

    steps: tuple[Events, ...]
    within: timedelta | None = None


Statistic = Mean | Ratio | Quantile | Retention | Funnel


@dataclass(frozen=True)
class Metric:
    """Rule M1; `complete` is `maturity: complete` of rule M8."""

    id: int
    statistic: Statistic
    direction: Direction = "up"
    expected: Expected = "increase"
    complete: bool = False
    version: int = 2

    @property
    def measures(self) -> Sequence[Measure]:
        """Those that it is made of; a funnel and a quantile of events have none."""
        match self.statistic:
            case Mean(measure) | Retention(measure) | Quantile(of=Measure() as measure):
                return [measure]
            case Ratio(numerator, denominator):
                return [numerator, denominator]
            case _:
                return []

    @property
    def events(self) -> Sequence[Events]:
        """All that it reads."""
        match self.statistic:
            case Funnel(steps):
                return steps
            case Quantile(of=Events() as events):
                return [events]
            case _:
                return [measure.events for measure in self.measures]

    @property
    def is_occurrence(self) -> bool:
        """Whether every identity is 0 or 1."""
        match self.statistic:
            case Mean(measure):
                return measure.aggregation == "occurrence"
            case other:
                return isinstance(other, Retention | Funnel)

    @property
    def lower_is_better(self) -> bool:
        """A guardrail's side is its own; of others it is the metric's, and the expected one where it has none."""
        if self.expected.startswith("not_"):
            return self.expected == "not_increase"
        return self.direction == "down" or (self.direction == "informational" and self.expected == "decrease")


def version_1(  # noqa: PLR0917 - in the order of a declaration
    id: int,  # noqa: A002 - the field's name
    event: str,
    aggregation: Aggregation,
    direction: Direction = "up",
    window: timedelta | None = None,
    expected: Expected = "increase",
) -> Metric:
    """A metric of rules M2-M4: the mean of one measure over everybody."""
    measure = Measure(Events(event, end=window), aggregation, zero_if_missing=True)
    return Metric(id, Mean(measure), direction, expected, version=1)
